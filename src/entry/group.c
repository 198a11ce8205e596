/* SPDX-License-Identifier: BSD-2-Clause */
/* The public functions of groups: oomreclaim_group.h has the contract. */
#include "limits/group.h"

#include <errno.h>
#include <string.h>

#include "background/background.h"
#include "base/base.h"
#include "base/trace.h"
#include "entry/interpose_threads.h"
#include "heap/heap_group.h"
#include "heap/heap_ops.h"
#include "kill/cancel.h"
#include "limits/group_low.h"
#include "limits/group_victim.h"
#include "lockdep/watch.h"
#include "reclaim/calls.h"
#include "reclaim/control.h"
#include "reclaim/descent.h"
#include "reclaim/reclaim.h"
#include "reclaim/registry.h"
#include "reclaim/reserve.h"

static int check_name(const char *name)
{
	if (name == NULL || name[0] == '\0')
		return EINVAL;
	return strlen(name) > OOMRECLAIM_GROUP_NAME_MAX ? ENAMETOOLONG : 0;
}

/* With the lock. -errno, or the slot. */
static int create(const char *name, oomreclaim_group parent)
{
	unsigned in = group_find(parent);

	return in == 0 && parent != OOMRECLAIM_GROUP_ROOT ? -EINVAL : group_add(name, in);
}

OOM_EXPORT int oomreclaim_group_create(const char *name, oomreclaim_group parent,
                                       oomreclaim_group *group)
{
	int saved = errno, slot = check_name(name);

	if (slot != 0 || group == NULL)
		return slot != 0 ? slot : EINVAL;
	if (!heap_group_can_be())
		return ENOTSUP;
	reserve_want_arena();
	group_lock();
	slot = create(name, parent);
	if (slot > 0)
		*group = group_handle((unsigned)slot);
	group_unlock();
	if (slot > 0)
		TRACE3(group_create, name, *group, parent);
	errno = saved;
	return slot < 0 ? -slot : 0;
}

OOM_EXPORT oomreclaim_group oomreclaim_group_enter(oomreclaim_group group)
{
	unsigned from = heap_group_current(), to = group_find(group);
	oomreclaim_group former = group_handle(from);

	if (to == from || (to == 0 && group != OOMRECLAIM_GROUP_ROOT))
		return former;
	if (to != 0 && !group_try_enter(to, group))
		return former;
	/* Where it can't, the thread stays where it is. */
	if (!heap_group_enter(to))
		from = to;
	if (from != 0)
		group_leave(from);
	return former;
}

OOM_EXPORT oomreclaim_group oomreclaim_group_current(void)
{
	return group_handle(heap_group_current());
}

OOM_EXPORT oomreclaim_group oomreclaim_group_of(const void *block)
{
	return heap_group_of(block);
}

/* What is above the largest size is no limit. */
static int set_limit(unsigned slot, int64_t value, void (*set)(unsigned slot, size_t bytes),
                     size_t (*excess)(unsigned slot))
{
	unsigned futile = 0;
	size_t above, now;

	if (value < 0)
		return ERANGE;
	set(slot, value == OOMRECLAIM_GROUP_NONE ? SIZE_MAX : (size_t)value);
	/* Until it fits, or there is nothing left to give, whatever the callbacks say. */
	while ((above = excess(slot)) > 0 && futile < MAX_RECLAIM_RETRIES) {
		now = group_charged(slot);
		if (reclaim_group(slot, above) == 0)
			break;
		futile = group_charged(slot) < now ? 0 : futile + 1;
	}
	/* What is low as well, where what callbacks claim has not come. Inside of one nothing was
	   reclaimed, and nothing is. */
	if (!descent_is_open() && (above = excess(slot)) > 0)
		heap_ops.group_evict(slot, above, GROUP_KEEPS_MIN);
	return 0;
}

static int set_policy(unsigned slot, int64_t value)
{
	if (value < OOMRECLAIM_POLICY_RETURN || value > OOMRECLAIM_POLICY_CANCEL ||
	    value == OOMRECLAIM_POLICY_RETRY)
		return ERANGE;
	group_set_policy(slot, (enum oomreclaim_policy)value);
	return 0;
}

static int set_protection(unsigned slot, int64_t value, void (*set)(unsigned slot, size_t bytes))
{
	if (value < 0)
		return ERANGE;
	set(slot, (size_t)value);
	return 0;
}

static int set_score_adj(unsigned slot, int64_t value)
{
	if (value < -1000 || value > 1000)
		return ERANGE;
	group_set_score_adj(slot, (int)value);
	return 0;
}

static int set_cancel_reserve(unsigned slot, int64_t value)
{
	if (value != 0 && value != 1)
		return ERANGE;
	group_set_cancel_reserve(slot, value == 1);
	return 0;
}

static int set_inherit(unsigned slot, int64_t value)
{
	if (value != 0 && value != 1)
		return ERANGE;
	if (value == 1 && (interpose_threads_is_reached == NULL || !interpose_threads_is_reached()))
		return ENOTSUP;
	group_set_inherit(slot, value == 1);
	return 0;
}

OOM_EXPORT int oomreclaim_group_set(oomreclaim_group group,
                                    enum oomreclaim_group_attribute attribute, int64_t value)
{
	unsigned slot = group_find(group);

	if (slot == 0)
		return EINVAL;
	switch (attribute) {
	case OOMRECLAIM_GROUP_MAX:
		return set_limit(slot, value, group_set_max, group_excess);
	case OOMRECLAIM_GROUP_HIGH:
		return set_limit(slot, value, group_set_high, group_above_high);
	case OOMRECLAIM_GROUP_POLICY:
		return set_policy(slot, value);
	case OOMRECLAIM_GROUP_LOW:
		return set_protection(slot, value, group_set_low);
	case OOMRECLAIM_GROUP_MIN:
		return set_protection(slot, value, group_set_min);
	case OOMRECLAIM_GROUP_SCORE_ADJ:
		return set_score_adj(slot, value);
	case OOMRECLAIM_GROUP_CANCEL_RESERVE:
		return set_cancel_reserve(slot, value);
	case OOMRECLAIM_GROUP_INHERIT:
		return set_inherit(slot, value);
	default:
		return EINVAL;
	}
}

static int64_t value_of(size_t bytes)
{
	return bytes < (size_t)OOMRECLAIM_GROUP_NONE ? (int64_t)bytes : OOMRECLAIM_GROUP_NONE;
}

OOM_EXPORT int oomreclaim_group_get(oomreclaim_group group,
                                    enum oomreclaim_group_attribute attribute, int64_t *value)
{
	unsigned slot = group_find(group);

	if (slot == 0 || value == NULL)
		return EINVAL;
	switch (attribute) {
	case OOMRECLAIM_GROUP_MAX:
		*value = value_of(group_max(slot));
		return 0;
	case OOMRECLAIM_GROUP_HIGH:
		*value = value_of(group_high(slot));
		return 0;
	case OOMRECLAIM_GROUP_POLICY:
		*value = group_policy(slot);
		return 0;
	case OOMRECLAIM_GROUP_LOW:
		*value = value_of(group_low(slot));
		return 0;
	case OOMRECLAIM_GROUP_MIN:
		*value = value_of(group_min(slot));
		return 0;
	case OOMRECLAIM_GROUP_SCORE_ADJ:
		*value = group_score_adj(slot);
		return 0;
	case OOMRECLAIM_GROUP_CANCEL_RESERVE:
		*value = group_has_cancel_reserve(slot);
		return 0;
	case OOMRECLAIM_GROUP_INHERIT:
		*value = group_has_inherit(slot);
		return 0;
	default:
		return EINVAL;
	}
}

OOM_EXPORT int oomreclaim_group_stats(oomreclaim_group group, struct oomreclaim_group_stats *stats,
                                      size_t size)
{
	struct oomreclaim_group_stats now;
	unsigned slot;

	if (stats == NULL)
		return EINVAL;
	/* It does not end meanwhile. */
	group_lock();
	slot = group_find(group);
	if (slot != 0) {
		group_stats(slot, &now);
		now.allocated = heap_group_allocated(slot);
		copy_sized(stats, size, &now, sizeof now);
	}
	group_unlock();
	return slot != 0 ? 0 : EINVAL;
}

/* The calling thread may come to wait for a call of the group's function. */
static void watch_wait(oomreclaim_group group)
{
	if (!descent_is_open() && group_find(group) != 0)
		lockdep_might_unregister(CALL_OF_CANCEL(group));
}

OOM_EXPORT int oomreclaim_group_on_cancel(oomreclaim_group group,
                                          oomreclaim_group_cancelled *function, void *arg)
{
	unsigned slot = group_find(group);
	bool was_cancelled = slot != 0 && group_is_cancelled(slot);
	int saved = errno, error;

	if (slot == 0)
		return EINVAL;
	watch_wait(group);
	/* Another thread may have destroyed it. */
	if (!group_set_cancel(group, function, arg))
		return EINVAL;
	if (was_cancelled)
		cancel_tell_ended();
	if (function != NULL)
		background_note_cancel();
	/* A call of the former one is the last. */
	error = calls_wait(CALL_OF_CANCEL(group), CALL_OF_CANCEL(group));
	errno = saved;
	return error;
}

/* With the lock. */
static int destroy(unsigned slot, bool frees)
{
	bool was_cancelled;

	if (slot == 0)
		return EINVAL;
	if (group_is_busy(slot))
		return EBUSY;
	was_cancelled = group_is_cancelled(slot);
	heap_group_destroy(slot, frees);
	registry_regroup(slot, group_parent(slot));
	group_remove(slot);
	if (was_cancelled)
		cancel_tell_ended();
	return 0;
}

OOM_EXPORT int oomreclaim_group_destroy(oomreclaim_group group, unsigned flags)
{
	int saved = errno, error;

	if ((flags & ~(unsigned)OOMRECLAIM_GROUP_FREE) != 0)
		return EINVAL;
	watch_wait(group);
	group_lock();
	error = destroy(group_find(group), (flags & OOMRECLAIM_GROUP_FREE) != 0);
	group_unlock();
	/* No call of its function begins any more. */
	if (error == 0) {
		TRACE2(group_destroy, group, flags);
		error = calls_wait(CALL_OF_CANCEL(group), CALL_OF_CANCEL(group));
	}
	lockdep_unregistered(CALL_OF_CANCEL(group));
	errno = saved;
	return error;
}
