/* SPDX-License-Identifier: BSD-2-Clause */
#include "limits/group_victim.h"

#include <string.h>

#include "base/base.h"
#include "limits/group_inside.h"

/* What is left of a group that has ended its work, as a shift of what it had: caches of threads,
   and what a page is kept for by one block. */
#define LG_PART 3

/* The addresses that there are. Twice that, times a thousand, is still a number. */
#define TOTAL_MAX ((size_t)1 << 52)

/* A function was set once. Relaxed: a thread that sees this late cancels no group that time. */
static atomic_bool may_cancel;

bool group_may_cancel(void)
{
	return atomic_load_explicit(&may_cancel, memory_order_relaxed);
}

/* Bits of other threads are kept. */
static void mark(unsigned slot, unsigned marks)
{
	atomic_fetch_or_explicit(&groups[slot].marks, marks, memory_order_relaxed);
}

static void unmark(unsigned slot, unsigned marks)
{
	atomic_fetch_and_explicit(&groups[slot].marks, ~marks, memory_order_relaxed);
}

void group_victim_note_end(unsigned slot, bool is_destroyed)
{
	bool was_cancelled = group_is_marked(slot, GROUP_CANCELLED);
	uint64_t now = now_ns();

	for (;;) {
		struct group_cancel *cancel = &groups[slot].cancel;

		if (was_cancelled)
			cancel->ended_ns = now;
		if (is_destroyed)
			cancel->destroyed_ns = now;
		if (slot == 0)
			break;
		slot = groups[slot].parent;
	}
}

/* It is not destroyed: its marks go, and if it was cancelled that has ended. */
static void end_cancel(unsigned slot, unsigned marks)
{
	group_victim_note_end(slot, false);
	unmark(slot, GROUP_CANCELLED | GROUP_UNTOLD | marks);
}

/* With the lock. */
static void put_cancel(unsigned slot, oomreclaim_group_cancelled *function, void *arg)
{
	struct group_cancel *cancel = &groups[slot].cancel;

	cancel->function = function;
	cancel->arg = arg;
	end_cancel(slot, GROUP_HAS_CANCEL | GROUP_IN_FILE);
	if (function != NULL)
		mark(slot, GROUP_HAS_CANCEL);
}

bool group_set_cancel(oomreclaim_group group, oomreclaim_group_cancelled *function, void *arg)
{
	unsigned slot;

	group_lock();
	slot = group_find(group);
	if (slot != 0)
		put_cancel(slot, function, arg);
	group_unlock();
	if (slot != 0 && function != NULL)
		atomic_store_explicit(&may_cancel, true, memory_order_relaxed);
	return slot != 0;
}

long group_badness(size_t bytes, int score_adj, size_t total_bytes)
{
	/* A task without memory, and OOM_SCORE_ADJ_MIN. */
	if (bytes == 0 || score_adj == -1000)
		return GROUP_NEVER;
	return (long)min_size(bytes, TOTAL_MAX) +
	       (long)score_adj * (long)(min_size(total_bytes, TOTAL_MAX) / 1000);
}

unsigned group_cancelled_with(unsigned slot)
{
	while (slot != 0 && !group_is_marked(slot, GROUP_HAS_CANCEL))
		slot = groups[slot].parent;
	return slot;
}

/* ---- With the lock ---- */

static bool is_alive(unsigned slot)
{
	return group_handle(slot) != 0;
}

/* Below 0 for a moment, while a child's part comes to it. */
static size_t own_bytes(unsigned slot)
{
	size_t own = atomic_load_explicit(&groups[slot].own, memory_order_relaxed);

	return own <= SIZE_MAX / 2 ? own : 0;
}

/* What the end of a group with a function would give. */
static size_t bytes_of(unsigned slot)
{
	unsigned count = group_slots_used();
	size_t bytes = own_bytes(slot);

	if (atomic_load_explicit(&groups[slot].children, memory_order_relaxed) == 0)
		return bytes;
	for (unsigned i = 1; i < count; i++)
		if (i != slot && is_alive(i) && group_cancelled_with(i) == slot)
			bytes += own_bytes(i);
	return bytes;
}

/* The same for all that are looked at, in one walk. */
static void sum_up(const struct group_search *search)
{
	unsigned count = group_slots_used(), with;

	for (unsigned i = 1; i < count; i++)
		groups[i].cancel.sum = 0;
	for (unsigned i = 1; i < count; i++)
		if (is_alive(i) && (with = group_cancelled_with(i)) != 0 &&
		    group_is_within(with, search->in))
			groups[with].cancel.sum += own_bytes(i);
}

/* The work of a group that was cancelled has ended, as far as others can tell. */
static bool has_given(unsigned slot)
{
	if (bytes_of(slot) > groups[slot].cancel.part)
		return false;
	end_cancel(slot, 0);
	return true;
}

static bool is_in_time(unsigned slot)
{
	return now_ns() < groups[slot].cancel.deadline_ns;
}

/* oom_evaluate_task(), for the first kind: is one dying? */
static enum group_choice find_dying(const struct group_search *search, unsigned *found)
{
	unsigned count = group_slots_used();

	for (unsigned i = 1; i < count; i++) {
		if (!is_alive(i) || !group_is_marked(i, GROUP_CANCELLED) ||
		    !group_is_within(i, search->in))
			continue;
		*found = i;
		if (has_given(i))
			return GROUP_ENDED;
		if (is_in_time(i))
			return GROUP_DYING;
	}
	return GROUP_NOBODY;
}

/* Whether a group ended after the request was refused. The request tries first with what that group
   has left: the kernel looks at mem_cgroup_margin() once more behind oom_lock. */
static bool has_one_ended(const struct group_search *search)
{
	const struct group_cancel *in = &groups[search->in].cancel;

	return in->ended_ns > search->seen_ns || in->destroyed_ns > search->asked_ns;
}

static unsigned find_worst(const struct group_search *search)
{
	unsigned count = group_slots_used(), worst = 0;
	long most = GROUP_NEVER, points;

	for (unsigned i = 1; i < count; i++) {
		if (!is_alive(i) || groups[i].cancel.sum < search->least_bytes ||
		    group_is_marked(i, GROUP_CANCELLED))
			continue;
		points = group_badness(groups[i].cancel.sum, group_score_adj(i),
		                       search->total_bytes);
		if (points == GROUP_NEVER || points < most)
			continue;
		most = points;
		worst = i;
	}
	return worst;
}

static void describe(unsigned slot, struct group_victim *victim)
{
	victim->slot = slot;
	victim->bytes = groups[slot].cancel.sum;
	victim->score_adj = group_score_adj(slot);
	strcpy(victim->name, groups[slot].name);
}

static enum group_choice choose(const struct group_search *search, unsigned *found)
{
	enum group_choice choice = find_dying(search, found);
	struct group_cancel *cancel;

	if (choice != GROUP_NOBODY)
		return choice;
	if (has_one_ended(search))
		return GROUP_AGAIN;
	sum_up(search);
	*found = find_worst(search);
	if (*found == 0)
		return GROUP_NOBODY;
	cancel = &groups[*found].cancel;
	cancel->deadline_ns = search->deadline_ns;
	cancel->part = cancel->sum >> LG_PART;
	mark(*found, GROUP_CANCELLED | GROUP_UNTOLD);
	atomic_fetch_add_explicit(&groups[*found].cancels, 1, memory_order_relaxed);
	return GROUP_CHOSEN;
}

bool group_victim_next_untold(struct group_untold *untold)
{
	unsigned count = group_slots_used();

	for (unsigned i = 1; i < count; i++) {
		if (!is_alive(i) || !group_is_marked(i, GROUP_UNTOLD))
			continue;
		unmark(i, GROUP_UNTOLD);
		*untold = (struct group_untold){.handle = group_handle(i),
		                                .function = groups[i].cancel.function,
		                                .arg = groups[i].cancel.arg};
		return true;
	}
	return false;
}

/* ---- With the lock taken here ---- */

enum group_choice group_victim_choose(const struct group_search *search,
                                      struct group_victim *victim)
{
	enum group_choice choice;
	unsigned found = 0;

	group_lock();
	choice = choose(search, &found);
	if (choice == GROUP_CHOSEN || choice == GROUP_DYING)
		describe(found, victim);
	group_unlock();
	return choice;
}

void group_victim_take_back(void)
{
	group_lock();
	for (unsigned i = 1; i < group_slots_used(); i++) {
		if (!group_is_marked(i, GROUP_UNTOLD))
			continue;
		unmark(i, GROUP_CANCELLED | GROUP_UNTOLD);
		atomic_fetch_sub_explicit(&groups[i].cancels, 1, memory_order_relaxed);
	}
	group_unlock();
}

bool group_victim_is_dying(unsigned slot)
{
	bool is_dying;

	group_lock();
	is_dying = is_alive(slot) && group_is_marked(slot, GROUP_CANCELLED) && !has_given(slot) &&
	           is_in_time(slot);
	group_unlock();
	return is_dying;
}

bool group_is_cancelled(unsigned slot)
{
	return group_is_marked(slot, GROUP_CANCELLED);
}

bool group_victim_try_lift(unsigned slot)
{
	bool is_lifted;

	group_lock();
	is_lifted = !group_is_marked(slot, GROUP_CANCELLED) || has_given(slot);
	group_unlock();
	return is_lifted;
}

bool group_next_code(struct group_code *code)
{
	unsigned count, slot = code->slot + 1;

	group_lock();
	count = group_slots_used();
	while (slot < count && !(is_alive(slot) && group_is_marked(slot, GROUP_HAS_CANCEL)))
		slot++;
	if (slot < count) {
		*code = (struct group_code){.slot = slot,
		                            .handle = group_handle(slot),
		                            .function = groups[slot].cancel.function,
		                            .is_in_file = group_is_marked(slot, GROUP_IN_FILE)};
		strcpy(code->name, groups[slot].name);
	}
	group_unlock();
	return slot < count;
}

void group_note_file(const struct group_code *code)
{
	group_lock();
	if (group_find(code->handle) != 0 && groups[code->slot].cancel.function == code->function)
		mark(code->slot, GROUP_IN_FILE);
	group_unlock();
}
