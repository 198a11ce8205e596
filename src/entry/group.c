/* SPDX-License-Identifier: BSD-2-Clause */
/* The public functions of groups but set and get (group_attributes.c): oomreclaim_group.h has the
   contract. */
#include "limits/group.h"

#include <errno.h>
#include <string.h>

#include "background/background.h"
#include "base/base.h"
#include "base/trace.h"
#include "heap/heap_group.h"
#include "kill/cancel.h"
#include "limits/group_victim.h"
#include "lockdep/watch.h"
#include "reclaim/calls.h"
#include "reclaim/descent.h"
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
