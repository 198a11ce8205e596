/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is set of a group, and read: oomreclaim_group.h has the contract. Each is found and set with
 * the lock of groups, so that another thread can't end the group between, and have a new one in its
 * slot.
 */
#include <errno.h>

#include "base/base.h"
#include "entry/interpose_threads.h"
#include "heap/heap_ops.h"
#include "limits/group.h"
#include "limits/group_low.h"
#include "limits/group_victim.h"
#include "oomreclaim_group.h"
#include "reclaim/control.h"
#include "reclaim/descent.h"
#include "reclaim/reclaim.h"

typedef void set_bytes(unsigned slot, size_t bytes);
typedef size_t excess_of(unsigned slot);

/* What is above the largest size is no limit. */
static int set_limit(unsigned slot, int64_t value, set_bytes *set)
{
	if (value < 0)
		return ERANGE;
	set(slot, value == OOMRECLAIM_GROUP_NONE ? SIZE_MAX : (size_t)value);
	return 0;
}

/* Without the lock, which callbacks may take. A group that has ended exceeds nothing. */
static size_t excess(oomreclaim_group group, excess_of *of)
{
	unsigned slot = group_find(group);

	return slot != 0 ? of(slot) : 0;
}

/* Until it fits, or there is nothing left to give, whatever the callbacks say. */
static void make_fit(oomreclaim_group group, excess_of *of)
{
	unsigned slot = group_find(group), futile = 0;
	size_t above, now;

	while ((above = excess(group, of)) > 0 && futile < MAX_RECLAIM_RETRIES) {
		now = group_charged(slot);
		if (reclaim_group(slot, above) == 0)
			break;
		futile = group_charged(slot) < now ? 0 : futile + 1;
	}
	/* What is low as well, where what callbacks claim has not come. Inside of one nothing was
	   reclaimed, and nothing is. */
	if (!descent_is_open() && (above = excess(group, of)) > 0)
		heap_ops.group_evict(slot, above, GROUP_KEEPS_MIN);
}

static int set_policy(unsigned slot, int64_t value)
{
	if (value < OOMRECLAIM_POLICY_RETURN || value > OOMRECLAIM_POLICY_CANCEL ||
	    value == OOMRECLAIM_POLICY_RETRY)
		return ERANGE;
	group_set_policy(slot, (enum oomreclaim_policy)value);
	return 0;
}

static int set_protection(unsigned slot, int64_t value, set_bytes *set)
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

static int set_flag(unsigned slot, int64_t value, void (*set)(unsigned slot, bool is_set))
{
	if (value != 0 && value != 1)
		return ERANGE;
	set(slot, value == 1);
	return 0;
}

/* With the lock. */
static int set(unsigned slot, enum oomreclaim_group_attribute attribute, int64_t value)
{
	switch (attribute) {
	case OOMRECLAIM_GROUP_MAX:
		return set_limit(slot, value, group_set_max);
	case OOMRECLAIM_GROUP_HIGH:
		return set_limit(slot, value, group_set_high);
	case OOMRECLAIM_GROUP_POLICY:
		return set_policy(slot, value);
	case OOMRECLAIM_GROUP_LOW:
		return set_protection(slot, value, group_set_low);
	case OOMRECLAIM_GROUP_MIN:
		return set_protection(slot, value, group_set_min);
	case OOMRECLAIM_GROUP_SCORE_ADJ:
		return set_score_adj(slot, value);
	case OOMRECLAIM_GROUP_CANCEL_RESERVE:
		return set_flag(slot, value, group_set_cancel_reserve);
	case OOMRECLAIM_GROUP_INHERIT:
		return set_flag(slot, value, group_set_inherit);
	default:
		return EINVAL;
	}
}

/* Without the lock: to find out may take the loader's. */
static bool can_have(enum oomreclaim_group_attribute attribute, int64_t value)
{
	if (attribute != OOMRECLAIM_GROUP_INHERIT || value != 1)
		return true;
	return interpose_threads_is_reached != NULL && interpose_threads_is_reached();
}

OOM_EXPORT int oomreclaim_group_set(oomreclaim_group group,
                                    enum oomreclaim_group_attribute attribute, int64_t value)
{
	int saved = errno, error = EINVAL;
	bool is_possible = can_have(attribute, value);
	unsigned slot;

	group_lock();
	slot = group_find(group);
	if (slot != 0)
		error = is_possible ? set(slot, attribute, value) : ENOTSUP;
	group_unlock();
	if (error == 0 && attribute == OOMRECLAIM_GROUP_MAX)
		make_fit(group, group_excess);
	if (error == 0 && attribute == OOMRECLAIM_GROUP_HIGH)
		make_fit(group, group_above_high);
	errno = saved;
	return error;
}

static int64_t value_of(size_t bytes)
{
	return bytes < (size_t)OOMRECLAIM_GROUP_NONE ? (int64_t)bytes : OOMRECLAIM_GROUP_NONE;
}

/* With the lock. */
static int get(unsigned slot, enum oomreclaim_group_attribute attribute, int64_t *value)
{
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

OOM_EXPORT int oomreclaim_group_get(oomreclaim_group group,
                                    enum oomreclaim_group_attribute attribute, int64_t *value)
{
	int saved = errno, error = EINVAL;
	unsigned slot;

	if (value == NULL)
		return EINVAL;
	group_lock();
	slot = group_find(group);
	if (slot != 0)
		error = get(slot, attribute, value);
	group_unlock();
	errno = saved;
	return error;
}
