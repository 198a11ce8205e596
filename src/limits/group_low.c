/* SPDX-License-Identifier: BSD-2-Clause */
#include "limits/group_low.h"

#include "base/base.h"
#include "limits/group_inside.h"

/* One was set once. Relaxed: a thread that sees this late reclaims once more without it. */
static atomic_bool has_any;

static void set(unsigned slot, unsigned by, size_t bytes)
{
	atomic_store_explicit(&groups[slot].protects[by], bytes, memory_order_relaxed);
	if (bytes > 0)
		atomic_store_explicit(&has_any, true, memory_order_relaxed);
}

static size_t get(unsigned slot, unsigned by)
{
	return atomic_load_explicit(&groups[slot].protects[by], memory_order_relaxed);
}

void group_set_low(unsigned slot, size_t bytes)
{
	set(slot, GROUP_BY_LOW, bytes);
}

size_t group_low(unsigned slot)
{
	return get(slot, GROUP_BY_LOW);
}

void group_set_min(unsigned slot, size_t bytes)
{
	set(slot, GROUP_BY_MIN, bytes);
}

size_t group_min(unsigned slot)
{
	return get(slot, GROUP_BY_MIN);
}

bool group_has_protection(void)
{
	return atomic_load_explicit(&has_any, memory_order_relaxed);
}

/* a * b / c */
static size_t part_of(size_t a, size_t b, size_t c)
{
	unsigned __int128 part = c > 0 ? (unsigned __int128)a * b / c : 0;

	return part < SIZE_MAX ? (size_t)part : SIZE_MAX;
}

/* effective_protection(): what the children have within their own low comes first, in proportion
   where it is more than the parent's. What is left of that is shared by what they have beyond. */
size_t group_protected_bytes(const struct group_protection *is)
{
	size_t within = min_size(is->usage, is->low);

	if (is->siblings_within >= is->parent_protected)
		return part_of(within, is->parent_protected, is->siblings_within);
	if (is->parent_usage <= is->siblings_within)
		return within;
	return add_saturated(within,
	                     part_of(is->parent_protected - is->siblings_within, is->usage - within,
	                             is->parent_usage - is->siblings_within));
}

/* ---- With the lock ---- */

static size_t within(unsigned slot, unsigned by)
{
	return min_size(group_charged(slot), get(slot, by));
}

/* Of the groups that deep: in `children_within` of the parent what all of its children have within
   theirs. */
static void sum_children(unsigned depth, unsigned by)
{
	unsigned count = group_slots_used();

	for (unsigned i = 1; i < count; i++)
		if (group_handle(i) != 0 && groups[i].depth == depth - 1)
			groups[i].protection[by].children_within = 0;
	for (unsigned i = 1; i < count; i++)
		if (group_handle(i) != 0 && groups[i].depth == depth)
			groups[groups[i].parent].protection[by].children_within += within(i, by);
}

static size_t protect(unsigned slot, unsigned in, unsigned by)
{
	unsigned parent = groups[slot].parent;

	/* Beside the process, or the group that is reclaimed, it has all of its own. */
	if (parent == in)
		return get(slot, by);
	return group_protected_bytes(
		&(struct group_protection){.usage = group_charged(slot),
	                                   .low = get(slot, by),
	                                   .parent_usage = group_charged(parent),
	                                   .parent_protected = groups[parent].protection[by].bytes,
	                                   .siblings_within =
	                                           groups[parent].protection[by].children_within});
}

/* The group that is reclaimed has nothing from itself: its parent is outside, and has nothing here
   to share. False: there is no group so deep, and so none below. */
static bool protect_depth(unsigned depth, unsigned in, unsigned by)
{
	unsigned count = group_slots_used();
	bool is_any = false;

	for (unsigned i = 1; i < count; i++)
		if (group_handle(i) != 0 && groups[i].depth == depth) {
			groups[i].protection[by].bytes =
				group_is_within(i, in) ? protect(i, in, by) : 0;
			is_any = true;
		}
	return is_any;
}

/* From above: what a parent has is shared by its children. */
static void protect_all(unsigned in)
{
	bool is_any = true;

	for (unsigned depth = 1; is_any && depth <= OOMRECLAIM_GROUP_DEPTH_MAX; depth++)
		for (unsigned by = 0; by < GROUP_PROTECTIONS; by++) {
			sum_children(depth, by);
			is_any = protect_depth(depth, in, by);
		}
}

static bool is_below(unsigned slot, unsigned by)
{
	size_t bytes = groups[slot].protection[by].bytes;

	return bytes > 0 && group_charged(slot) <= bytes;
}

/* Returns whether it is to be left alone. */
static bool mark_one(unsigned slot, unsigned mark)
{
	bool is_kept = is_below(slot, GROUP_BY_MIN);
	bool is_protected = is_kept || is_below(slot, GROUP_BY_LOW);

	group_set_mark(slot, (unsigned)GROUP_KEPT << mark, is_kept);
	group_set_mark(slot, (unsigned)GROUP_PROTECTED << mark, is_protected);
	return is_protected;
}

/* ---- Without ---- */

bool group_mark_protected(unsigned in, unsigned mark)
{
	bool is_any = false;

	if (!group_has_protection())
		return false;
	group_lock();
	protect_all(in);
	for (unsigned i = 1; i < group_slots_used(); i++)
		is_any |= group_handle(i) != 0 && mark_one(i, mark);
	group_unlock();
	return is_any;
}

bool group_is_protected(unsigned slot, unsigned mark)
{
	return group_is_marked(slot, (unsigned)GROUP_PROTECTED << mark);
}

bool group_is_kept(unsigned slot, unsigned mark)
{
	return group_is_marked(slot, (unsigned)GROUP_KEPT << mark);
}

/* With the lock. */
static size_t protected_bytes(unsigned slot, enum group_keeps keeps)
{
	size_t min = groups[slot].protection[GROUP_BY_MIN].bytes;
	size_t low = groups[slot].protection[GROUP_BY_LOW].bytes;

	return keeps == GROUP_KEEPS_LOW && low > min ? low : min;
}

bool group_begin_giving(unsigned in, enum group_keeps keeps)
{
	if (keeps == GROUP_KEEPS_NONE || !group_has_protection())
		return false;
	group_lock();
	protect_all(in);
	return true;
}

void group_end_giving(void)
{
	group_unlock();
}

size_t group_may_give(unsigned slot, unsigned in, enum group_keeps keeps, unsigned own)
{
	size_t most = SIZE_MAX;

	/* Nor is an ancestor taken below what it has. */
	for (unsigned at = slot; at != in && at != 0 && !group_is_within(own, at);
	     at = groups[at].parent) {
		size_t charged = group_charged(at), protected = protected_bytes(at, keeps);

		if (protected > 0)
			most = min_size(most, charged > protected ? charged - protected : 0);
	}
	return most;
}
