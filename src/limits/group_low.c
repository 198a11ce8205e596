/* SPDX-License-Identifier: BSD-2-Clause */
#include "limits/group_low.h"

#include "base/base.h"
#include "limits/group_inside.h"

/* A low was set once. Relaxed: a thread that sees this late reclaims once more without it. */
static atomic_bool has_low;

void group_set_low(unsigned slot, size_t bytes)
{
	atomic_store_explicit(&groups[slot].low, bytes, memory_order_relaxed);
	if (bytes > 0)
		atomic_store_explicit(&has_low, true, memory_order_relaxed);
}

size_t group_low(unsigned slot)
{
	return atomic_load_explicit(&groups[slot].low, memory_order_relaxed);
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

static size_t within_low(unsigned slot)
{
	return min_size(group_charged(slot), group_low(slot));
}

/* Of the groups that deep: in `sum` of the parent what all of its children have within theirs. */
static void sum_children(unsigned depth)
{
	unsigned count = group_slots_used();

	for (unsigned i = 1; i < count; i++)
		if (group_handle(i) != 0 && groups[i].depth == depth - 1)
			groups[i].protection.children_within = 0;
	for (unsigned i = 1; i < count; i++)
		if (group_handle(i) != 0 && groups[i].depth == depth)
			groups[groups[i].parent].protection.children_within += within_low(i);
}

static size_t protect(unsigned slot, unsigned in)
{
	unsigned parent = groups[slot].parent;

	/* Beside the process, or the group that is reclaimed, it has all of its own. */
	if (parent == in)
		return group_low(slot);
	return group_protected_bytes(
		&(struct group_protection){.usage = group_charged(slot),
	                                   .low = group_low(slot),
	                                   .parent_usage = group_charged(parent),
	                                   .parent_protected = groups[parent].protection.bytes,
	                                   .siblings_within =
	                                           groups[parent].protection.children_within});
}

static bool mark_depth(unsigned depth, unsigned in, unsigned bit)
{
	unsigned count = group_slots_used();
	bool is_any = false;

	for (unsigned i = 1; i < count; i++) {
		bool is_protected = false;

		if (group_handle(i) == 0 || groups[i].depth != depth)
			continue;
		if (i != in && group_is_within(i, in)) {
			groups[i].protection.bytes = protect(i, in);
			is_protected = groups[i].protection.bytes > 0 &&
			               group_charged(i) <= groups[i].protection.bytes;
		}
		if (is_protected)
			atomic_fetch_or_explicit(&groups[i].marks, bit, memory_order_relaxed);
		else
			atomic_fetch_and_explicit(&groups[i].marks, ~bit, memory_order_relaxed);
		is_any |= is_protected;
	}
	return is_any;
}

bool group_mark_protected(unsigned in, unsigned mark)
{
	bool is_any = false;

	if (!atomic_load_explicit(&has_low, memory_order_relaxed))
		return false;
	group_lock();
	for (unsigned depth = 1; depth <= OOMRECLAIM_GROUP_DEPTH_MAX; depth++) {
		sum_children(depth);
		is_any |= mark_depth(depth, in, (unsigned)GROUP_PROTECTED << mark);
	}
	group_unlock();
	return is_any;
}

bool group_is_protected(unsigned slot, unsigned mark)
{
	return group_is_marked(slot, (unsigned)GROUP_PROTECTED << mark);
}
