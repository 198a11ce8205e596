/* SPDX-License-Identifier: BSD-2-Clause */
#include "limits/total.h"

#include <sched.h>

#include "base/base.h"
#include "base/raise.h"
#include "limits/total_inside.h"

/* Two that find each other pending try again so often; what is still pending then counts. */
#define TRIES 64
/* More than that no process can have pending: some thousand threads with a request of the largest
   size. */
#define PENDING_SHIFT 16

struct total_own *total_own;
struct total_map total_map;

struct sum {
	uint64_t charged; /* by others, and by this process with what is to be charged now */
	uint64_t pending; /* the same, and what others are about to charge */
};

static bool is_forged(uint64_t own, uint64_t pending)
{
	return own > total_map.limit || pending >> PENDING_SHIFT > total_map.limit;
}

/* What this process counts for with so much more. */
static uint64_t with_more(struct total_slot *slot, uint64_t more)
{
	int64_t own = atomic_load(&slot->own) + (int64_t)more;

	return own > 0 ? (uint64_t)own : 0;
}

/* False if what is in there can't be true. The order of all loads and stores here is one: of two
   processes that charge at once, the one whose charge became pending later sees the other's. */
static bool add_up(struct total_slot *mine, uint64_t bytes, struct sum *sum)
{
	struct total_slot *slots = total_map.total->slot;
	unsigned used = total_used();

	*sum = (struct sum){.charged = with_more(mine, bytes)};
	sum->pending = with_more(mine, atomic_load(&mine->pending));
	for (unsigned i = 0; i < used; i++) {
		uint64_t own, pending;

		if (&slots[i] == mine || !total_is_counted(&slots[i]))
			continue;
		/* In this order: what is charged in between counts in one of them. */
		pending = atomic_load(&slots[i].pending);
		own = total_charge_of(&slots[i]);
		if (is_forged(own, pending))
			return false;
		sum->charged += own;
		sum->pending += own + pending;
	}
	return !is_forged(with_more(mine, 0), atomic_load(&mine->pending));
}

/* Not at the same time again: the process with the lower slot is back sooner. Nothing is waited
   for: below a real-time thread, where sched_yield() gives the processor to nobody, the attempts
   are used up at once, and the request is refused as one that does not fit. */
static void stand_back(const struct total_slot *slot, unsigned attempt)
{
	unsigned times = 1 + ((unsigned)(slot - total_map.total->slot) + attempt) % 4;

	for (unsigned i = 0; i < times; i++)
		sched_yield();
}

static bool refuse(void)
{
	atomic_fetch_add_explicit(&total_map.total->times_met, 1, memory_order_relaxed);
	return false;
}

static bool try_begin(struct total_slot *slot, size_t bytes)
{
	for (unsigned attempt = 0; attempt < TRIES; attempt++) {
		struct sum sum;

		atomic_fetch_add(&slot->pending, bytes);
		if (!add_up(slot, bytes, &sum)) {
			total_leave("what is in it no process can have written");
			return true;
		}
		if (sum.pending <= total_map.limit) {
			raise_to(&total_map.total->peak, sum.charged);
			return true;
		}
		atomic_fetch_sub(&slot->pending, bytes);
		if (sum.charged > total_map.limit)
			break;
		stand_back(slot, attempt);
	}
	return false;
}

OOM_NOINLINE bool total_begin(size_t bytes)
{
	struct total_slot *slot = total_slot();

	if (slot == NULL)
		return true;
	if (bytes > total_map.limit)
		return refuse();
	if (try_begin(slot, bytes))
		return true;
	/* Some of them may have ended. */
	total_reap(false);
	return try_begin(slot, bytes) || refuse();
}

OOM_NOINLINE void total_end(size_t bytes, bool is_charged)
{
	struct total_slot *slot = total_slot();

	if (slot == NULL)
		return;
	/* In this order: it counts twice for a moment, and never not at all. */
	if (is_charged)
		atomic_fetch_add(&slot->own, (int64_t)bytes);
	atomic_fetch_sub(&slot->pending, bytes);
}

OOM_NOINLINE void total_uncharge(size_t bytes)
{
	struct total_slot *slot = total_slot();

	if (slot != NULL)
		atomic_fetch_sub(&slot->own, (int64_t)bytes);
}

size_t total_room(void)
{
	struct total_slot *slot = total_slot();
	struct sum sum;

	if (slot == NULL || !add_up(slot, 0, &sum))
		return SIZE_MAX;
	return sum.charged < total_map.limit ? (size_t)(total_map.limit - sum.charged) : 0;
}

size_t total_max_bytes(void)
{
	return total_slot() != NULL ? (size_t)total_map.limit : SIZE_MAX;
}

OOM_NOINLINE bool total_has(int pid, uint64_t start_time)
{
	uint64_t owner = start_time << TOTAL_PID_BITS | (uint64_t)pid;

	if (total_slot() == NULL)
		return true;
	for (unsigned i = 0; i < total_used(); i++)
		if (atomic_load(&total_map.total->slot[i].owner) == owner)
			return true;
	return false;
}

void total_figures(struct total_figures *figures)
{
	struct total_slot *slot = total_slot();
	struct sum sum;

	*figures = (struct total_figures){.id = 0};
	if (slot == NULL)
		return;
	/* Nobody else may ever look for what has ended. By kill() alone: each process that shares
	   the total is here once a second. */
	total_reap_slots(false);
	if (!add_up(slot, 0, &sum))
		return;
	for (unsigned i = 0; i < total_used(); i++)
		figures->processes += total_is_counted(&total_map.total->slot[i]);
	figures->limit = total_map.limit;
	figures->id = total_map.id;
	figures->charged = sum.charged;
	figures->own = total_charge_of(slot);
	figures->peak = atomic_load_explicit(&total_map.total->peak, memory_order_relaxed);
	figures->times_met =
		atomic_load_explicit(&total_map.total->times_met, memory_order_relaxed);
}
