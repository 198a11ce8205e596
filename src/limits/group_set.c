/* SPDX-License-Identifier: BSD-2-Clause */
/* What is set of a group, and what is counted. */
#include "base/base.h"
#include "limits/group_inside.h"

static size_t get(const atomic_size_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

void group_set_max(unsigned slot, size_t bytes)
{
	atomic_store_explicit(&groups[slot].max, bytes, memory_order_relaxed);
}

size_t group_max(unsigned slot)
{
	return get(&groups[slot].max);
}

void group_set_policy(unsigned slot, enum oomreclaim_policy policy)
{
	atomic_store_explicit(&groups[slot].policy, policy, memory_order_relaxed);
}

enum oomreclaim_policy group_policy(unsigned slot)
{
	return (enum oomreclaim_policy)atomic_load_explicit(&groups[slot].policy,
	                                                    memory_order_relaxed);
}

void group_set_high(unsigned slot, size_t bytes)
{
	atomic_store_explicit(&groups[slot].high, bytes, memory_order_relaxed);
}

size_t group_high(unsigned slot)
{
	return get(&groups[slot].high);
}

static size_t charged_above(unsigned slot, size_t limit)
{
	size_t now = group_charged(slot);

	return now > limit ? now - limit : 0;
}

size_t group_above_high(unsigned slot)
{
	return charged_above(slot, group_high(slot));
}

void group_count_high(unsigned slot)
{
	atomic_fetch_add_explicit(&groups[slot].high_met, 1, memory_order_relaxed);
}

void group_set_score_adj(unsigned slot, int score_adj)
{
	atomic_store_explicit(&groups[slot].score_adj, score_adj, memory_order_relaxed);
}

int group_score_adj(unsigned slot)
{
	return atomic_load_explicit(&groups[slot].score_adj, memory_order_relaxed);
}

void group_set_cancel_reserve(unsigned slot, bool is_set)
{
	group_set_mark(slot, GROUP_CANCEL_RESERVE, is_set);
}

bool group_has_cancel_reserve(unsigned slot)
{
	return group_is_marked(slot, GROUP_CANCEL_RESERVE);
}

void group_set_inherit(unsigned slot, bool is_set)
{
	group_set_mark(slot, GROUP_INHERIT, is_set);
}

bool group_has_inherit(unsigned slot)
{
	return group_is_marked(slot, GROUP_INHERIT);
}

unsigned group_inherited(unsigned slot)
{
	while (slot != 0 && !group_has_inherit(slot))
		slot = groups[slot].parent;
	return slot;
}

void group_count_reclaimed(unsigned slot, size_t bytes)
{
	atomic_fetch_add_explicit(&groups[slot].reclaimed, bytes, memory_order_relaxed);
}

size_t group_charged(unsigned slot)
{
	return get(&groups[slot].charged);
}

size_t group_excess(unsigned slot)
{
	return charged_above(slot, group_max(slot));
}

void group_stats(unsigned slot, struct oomreclaim_group_stats *stats)
{
	const struct group *group = &groups[slot];
	size_t own = get(&group->own);

	*stats = (struct oomreclaim_group_stats){
		.charged = group_charged(slot),
		/* Below 0 for a moment, while a child's part comes to it. */
		.own = own <= SIZE_MAX / 2 ? own : 0,
		.peak = get(&group->peak),
		.max_met = atomic_load_explicit(&group->max_met, memory_order_relaxed),
		.reclaimed = atomic_load_explicit(&group->reclaimed, memory_order_relaxed),
		.threads =
			atomic_load_explicit(&group->threads, memory_order_relaxed) & ~GROUP_GONE,
		.children = atomic_load_explicit(&group->children, memory_order_relaxed),
		.high_met = atomic_load_explicit(&group->high_met, memory_order_relaxed),
		.cancels = atomic_load_explicit(&group->cancels, memory_order_relaxed),
	};
}
