/* SPDX-License-Identifier: BSD-2-Clause */
#include "limits/total_ask.h"

#include "base/base.h"
#include "base/futex.h"
#include "base/own_thread.h"
#include "base/raise.h"
#include "limits/total_inside.h"

/* For one request: as long as somebody gives, it is asked again, but others take what is given. */
#define ASKS_MAX 64
/* Less is not asked for: each question wakes a thread. */
#define WANTED_LEAST ((size_t)1 << 20)
/* Between two looks whether there is room by now. */
#define LOOK_NS (10 * NSEC_PER_MSEC)

/* The one that is largest among those behind the last in the order: by what they have charged, then
   by slot. One that gave something has moved down, and is asked again when its turn comes. */
static struct total_slot *find_next(const struct total_turn *turn, uint64_t *charged)
{
	struct total_slot *mine = total_slot(), *found = NULL;

	*charged = 0;
	for (unsigned i = 0; i < total_used(); i++) {
		struct total_slot *slot = &total_map.total->slot[i];
		uint64_t has = total_charge_of(slot);
		bool is_behind = turn->asks == 0 || has < turn->charged ||
		                 (has == turn->charged && i > turn->slot);

		if (slot == mine || !is_behind || has <= *charged || !total_is_counted(slot) ||
		    atomic_load(&slot->has_thread) == 0)
			continue;
		found = slot;
		*charged = has;
	}
	return found;
}

OOM_NOINLINE enum total_neighbour total_next(const struct total_turn *turn, size_t bytes)
{
	struct total_slot *mine = total_slot();
	uint64_t charged;

	if (mine == NULL || turn->asks >= ASKS_MAX || total_room() >= bytes ||
	    find_next(turn, &charged) == NULL)
		return NEIGHBOUR_NONE;
	return charged > total_charge_of(mine) ? NEIGHBOUR_LARGER : NEIGHBOUR_SMALLER;
}

static bool has_answered(struct total_slot *slot, unsigned question)
{
	return (int)(atomic_load(&slot->answered) - question) >= 0;
}

static void wait_for(struct total_slot *slot, unsigned question, size_t bytes, uint64_t deadline_ns)
{
	/* One that has not answered another before, as it is stopped, is not waited for. */
	while (!has_answered(slot, question) && atomic_load(&slot->is_silent) == 0 &&
	       total_room() < bytes && total_is_counted(slot)) {
		if (now_ns() >= deadline_ns)
			atomic_store(&slot->is_silent, 1);
		else
			futex_wait(&slot->answered, atomic_load(&slot->answered), LOOK_NS);
	}
}

OOM_NOINLINE void total_ask(struct total_turn *turn, size_t bytes, uint64_t deadline_ns)
{
	struct total_slot *slot;
	unsigned question;
	uint64_t charged;

	/* Who has ended needs no asking. */
	total_reap(true);
	if (total_slot() == NULL || total_room() >= bytes)
		return;
	slot = find_next(turn, &charged);
	if (slot == NULL) {
		turn->asks = ASKS_MAX;
		return;
	}
	turn->charged = charged;
	turn->slot = (uint16_t)(slot - total_map.total->slot);
	turn->asks++;
	/* The largest of what several want: what is given for one is there for the next. */
	raise_to(&slot->wanted, bytes > WANTED_LEAST ? bytes : WANTED_LEAST);
	question = atomic_fetch_add(&slot->asked, 1) + 1;
	own_thread_call_on(&slot->calls, TOTAL_CALL);
	wait_for(slot, question, bytes, deadline_ns);
}

/* ---- On oomreclaimd ---- */

void total_thread(bool is_there)
{
	struct total_slot *slot = total_slot();

	if (slot != NULL)
		atomic_store(&slot->has_thread, is_there);
}

size_t total_wanted(unsigned *question)
{
	struct total_slot *slot = total_slot();

	*question = 0;
	if (slot == NULL)
		return 0;
	/* In this order: the process that asks writes what it wants first, and then its
	   question. */
	*question = atomic_load(&slot->asked);
	return (size_t)atomic_exchange(&slot->wanted, 0);
}

void total_answer(unsigned question)
{
	struct total_slot *slot = total_slot();

	if (slot == NULL)
		return;
	atomic_store(&slot->is_silent, 0);
	atomic_store(&slot->answered, question);
	futex_wake(&slot->answered);
}
