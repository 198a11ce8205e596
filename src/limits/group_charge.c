/* SPDX-License-Identifier: BSD-2-Clause */
/* What is charged to groups, by the arenas that are theirs. */
#include "base/base.h"
#include "base/futex.h"
#include "base/raise.h"
#include "limits/group_inside.h"

/* What one arena is charged to, how many threads are charging by it just now, and since it first
   was a group's: what was charged and not uncharged, and how much of that has come to an extent. */
struct arena_charge {
	atomic_uint slot;
	atomic_uint busy;
	atomic_bool is_counted;
	atomic_size_t bytes;
	atomic_size_t committed;
};

static struct arena_charge arenas[GROUP_ARENAS];

/* Of this thread: the group by which its last charge was refused, for its max or as it is
   cancelled; and whether the thread is spared the latter. */
static OOM_TLS unsigned refuser;
static OOM_TLS bool is_spared;
OOM_TLS size_t group_over_high;

static struct arena_charge *begin_charge(unsigned arena, unsigned *slot)
{
	struct arena_charge *charge = &arenas[arena];

	/* In one order with group_charge_arena_to(): either the new slot is read here, or this
	   thread is seen there. */
	atomic_fetch_add(&charge->busy, 1);
	*slot = atomic_load(&charge->slot);
	return charge;
}

static void end_charge(struct arena_charge *charge)
{
	atomic_fetch_sub_explicit(&charge->busy, 1, memory_order_release);
}

unsigned group_of_arena(unsigned arena)
{
	return atomic_load_explicit(&arenas[arena].slot, memory_order_acquire);
}

/* A group that ends leaves its arenas to its parent before its slot is free for another: where the
   arena is of the same slot behind the look at the handle, the handle is of that group. */
oomreclaim_group group_handle_of_arena(unsigned arena)
{
	unsigned slot, now = group_of_arena(arena);
	oomreclaim_group handle;

	do {
		slot = now;
		handle = group_handle(slot);
		now = group_of_arena(arena);
	} while (now != slot);
	return handle;
}

static void sub(atomic_size_t *counter, size_t bytes)
{
	atomic_fetch_sub_explicit(counter, bytes, memory_order_relaxed);
}

/* page_counter_try_charge(): one that does not fit is never counted. */
static bool try_add(struct group *group, size_t bytes)
{
	size_t now = atomic_load_explicit(&group->charged, memory_order_relaxed), sum;

	do {
		sum = add_saturated(now, bytes);
		if (sum > atomic_load_explicit(&group->max, memory_order_relaxed)) {
			atomic_fetch_add_explicit(&group->max_met, 1, memory_order_relaxed);
			return false;
		}
	} while (!atomic_compare_exchange_weak_explicit(&group->charged, &now, sum,
	                                                memory_order_relaxed,
	                                                memory_order_relaxed));
	return true;
}

static void sub_up_to(unsigned slot, unsigned end, size_t bytes)
{
	for (; slot != end; slot = groups[slot].parent)
		sub(&groups[slot].charged, bytes);
}

/* What a group that was cancelled has no part in: the groups below it from one with a function of
   its own on. */
static bool is_cancelled(unsigned at, bool *is_apart)
{
	bool is_refused = !*is_apart && !is_spared && group_is_marked(at, GROUP_CANCELLED);

	*is_apart |= group_is_marked(at, GROUP_HAS_CANCEL);
	return is_refused;
}

static bool charge_slot(unsigned slot, size_t bytes)
{
	bool is_apart = false;

	for (unsigned at = slot; at != 0; at = groups[at].parent)
		if (unlikely(is_cancelled(at, &is_apart)) || !try_add(&groups[at], bytes)) {
			sub_up_to(slot, at, bytes);
			refuser = at;
			return false;
		}
	atomic_fetch_add_explicit(&groups[slot].own, bytes, memory_order_relaxed);
	return true;
}

/* The peak, and whether the thread has to look at a high. Not when it is charged: an ancestor, the
   budget or the system may still refuse it. */
static void note_committed(unsigned slot, size_t bytes)
{
	bool is_over = false;

	for (; slot != 0; slot = groups[slot].parent) {
		struct group *group = &groups[slot];
		size_t now = atomic_load_explicit(&group->charged, memory_order_relaxed);

		raise_to(&group->peak, now);
		is_over |= now > atomic_load_explicit(&group->high, memory_order_relaxed);
	}
	if (unlikely(is_over))
		group_over_high = add_saturated(group_over_high, bytes);
}

/* Was it ever a group's? Of the root's own nothing is counted. */
static bool is_counted(unsigned arena)
{
	return atomic_load_explicit(&arenas[arena].is_counted, memory_order_relaxed);
}

bool group_charge(unsigned arena, size_t bytes)
{
	struct arena_charge *charge;
	bool is_charged = true;
	unsigned slot;

	if (likely(!is_counted(arena)))
		return true;
	charge = begin_charge(arena, &slot);
	if (slot != 0)
		is_charged = charge_slot(slot, bytes);
	if (is_charged)
		atomic_fetch_add_explicit(&charge->bytes, bytes, memory_order_relaxed);
	end_charge(charge);
	return is_charged;
}

void group_commit_charge(unsigned arena, size_t bytes)
{
	struct arena_charge *charge;
	unsigned slot;

	if (likely(!is_counted(arena)))
		return;
	charge = begin_charge(arena, &slot);
	note_committed(slot, bytes);
	atomic_fetch_add_explicit(&charge->committed, bytes, memory_order_relaxed);
	end_charge(charge);
}

void group_cancel_charge(unsigned arena, size_t bytes)
{
	struct arena_charge *charge;
	unsigned slot;

	if (likely(!is_counted(arena)))
		return;
	charge = begin_charge(arena, &slot);
	if (slot != 0) {
		sub(&groups[slot].own, bytes);
		sub_up_to(slot, 0, bytes);
	}
	sub(&charge->bytes, bytes);
	end_charge(charge);
}

void group_uncharge(unsigned arena, size_t bytes)
{
	if (likely(!is_counted(arena)))
		return;
	sub(&arenas[arena].committed, bytes);
	group_cancel_charge(arena, bytes);
}

bool group_arena_is_empty(unsigned arena)
{
	return atomic_load(&arenas[arena].bytes) == 0;
}

unsigned group_refuser(void)
{
	return refuser;
}

bool group_spare(bool spare)
{
	bool was = is_spared;

	is_spared = spare;
	return was;
}

void group_charge_arena_to(unsigned arena, unsigned slot)
{
	struct arena_charge *charge = &arenas[arena];

	atomic_store_explicit(&charge->is_counted, true, memory_order_relaxed);
	atomic_store(&charge->slot, slot);
	/* What runs there waits for nothing. */
	futex_wait_zero(&charge->busy);
}

/* ---- fork() ---- */

static void charge_again(unsigned slot, size_t bytes)
{
	atomic_fetch_add_explicit(&groups[slot].own, bytes, memory_order_relaxed);
	for (; slot != 0; slot = groups[slot].parent)
		atomic_fetch_add_explicit(&groups[slot].charged, bytes, memory_order_relaxed);
}

/* A thread that is in the parent alone may just have been charging. */
void group_charge_fork_child(void)
{
	unsigned used = group_slots_used();

	for (unsigned i = 1; i < used; i++) {
		atomic_store_explicit(&groups[i].charged, 0, memory_order_relaxed);
		atomic_store_explicit(&groups[i].own, 0, memory_order_relaxed);
	}
	for (unsigned i = 0; i < GROUP_ARENAS; i++) {
		size_t bytes = atomic_load_explicit(&arenas[i].committed, memory_order_relaxed);

		atomic_store_explicit(&arenas[i].busy, 0, memory_order_relaxed);
		atomic_store_explicit(&arenas[i].bytes, bytes, memory_order_relaxed);
		if (group_of_arena(i) != 0)
			charge_again(group_of_arena(i), bytes);
	}
}
