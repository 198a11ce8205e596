/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/stats.h"

#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "base/flight.h"
#include "base/fork_data.h"
#include "config/options.h"
#include "limits/budget.h"
#include "limits/constraint.h"
#include "limits/headroom.h"
#include "reclaim/level.h"
#include "reclaim/purgeable.h"
#include "reclaim/reclaim.h"
#include "reclaim/registry.h"
#include "reclaim/reserve.h"

/* Written on the failure path, where there is no other place to put them. */
_Atomic uint64_t stats_counters[STATS_COUNTERS];

/* The program reads them. Relaxed: it orders nothing. */
static atomic_bool is_read;

bool stats_is_read(void)
{
	return options.is_stats || atomic_load_explicit(&is_read, memory_order_relaxed);
}

/* The last verdict, and the flag by which one thread at a time is at it. No mutex: a thread may
   come here with the heap's locks held, and a fork takes those after ours. */
static OOM_FORK_DATA atomic_flag is_taken = ATOMIC_FLAG_INIT;
static struct {
	uint64_t time_ns;
	size_t size;
	enum oomreclaim_outcome outcome;
	pid_t pid;
	enum constraint constraint;
} last;

static bool try_take(void)
{
	return !atomic_flag_test_and_set_explicit(&is_taken, memory_order_acquire);
}

static void give_back(void)
{
	atomic_flag_clear_explicit(&is_taken, memory_order_release);
}

void stats_verdict(const struct oom_control *control, enum oomreclaim_outcome outcome, pid_t victim)
{
	struct timespec now;

	if (outcome != OOMRECLAIM_OUTCOME_SERVED)
		flight_note_stack(control->request->caller);
	flight_note(FLIGHT_VERDICT, outcome, control->request->size, (size_t)victim,
	            constraint_name(control->constraint));
	if (!try_take())
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	last.time_ns = (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
	last.size = control->request->size;
	last.outcome = outcome;
	last.pid = victim;
	last.constraint = control->constraint;
	give_back();
}

/* How often a reader asks again while a verdict is being written, which takes some nanoseconds. */
#define TAKE_TRIES 1000

static void put_last(struct oomreclaim_stats *stats)
{
	for (int i = 0; i < TAKE_TRIES; i++) {
		if (!try_take())
			continue;
		stats->last_time_ns = last.time_ns;
		stats->last_size = last.size;
		stats->last_outcome = last.outcome;
		stats->last_pid = last.pid;
		if (last.outcome != OOMRECLAIM_OUTCOME_NONE)
			strcpy(stats->last_constraint, constraint_name(last.constraint));
		give_back();
		return;
	}
}

static OOM_NOINLINE void put_heap(struct oomreclaim_stats *stats)
{
	struct heap_stats heap;

	if (!heap_ops.stats(&heap))
		return;
	stats->heap_allocated = heap.allocated;
	stats->heap_active = heap.active;
	stats->heap_dirty = heap.dirty;
	stats->heap_metadata = heap.metadata;
	stats->heap_resident = heap.resident;
	stats->heap_mapped = heap.mapped;
	stats->heap_retained = heap.retained;
}

static void put_budget(struct oomreclaim_stats *stats)
{
	struct oomreclaim_limit_stats limit;
	size_t high, low;

	oomreclaim_limit_stats(&limit, sizeof limit);
	budget_watermarks(&high, &low);
	stats->limit = limit.limit;
	stats->charged = limit.charged;
	stats->charged_peak = limit.peak;
	stats->limit_times_met = limit.times_met;
	stats->high = high;
	stats->low = low;
	stats->reserve = reserve_bytes();
}

static void put_ladder(struct oomreclaim_stats *stats)
{
	uint64_t now[STATS_COUNTERS] = {0};

	for (int i = 0; i < STATS_COUNTERS; i++)
		now[i] = atomic_load_explicit(&stats_counters[i], memory_order_relaxed);
	stats->failures = now[STATS_FAILURES];
	stats->served = now[STATS_SERVED];
	stats->refused = now[STATS_REFUSED];
	stats->impossible = now[STATS_IMPOSSIBLE];
	stats->own_reclaims = now[STATS_OWN_RECLAIMS];
	stats->flushes = now[STATS_FLUSHES];
	stats->compactions = now[STATS_COMPACTIONS];
	stats->borrows = now[STATS_BORROWS];
	stats->evictions = now[STATS_EVICTIONS];
	stats->full_evictions = now[STATS_FULL_EVICTIONS];
	stats->reserve_uses = now[STATS_RESERVE_USES];
	stats->rounds = now[STATS_ROUNDS];
	stats->timeouts = now[STATS_TIMEOUTS];
	stats->policies = now[STATS_POLICIES];
	stats->kills = now[STATS_KILLS];
	stats->waits = now[STATS_WAITS];
}

OOM_EXPORT int oomreclaim_reclaim_stats(struct oomreclaim_reclaim_stats *stats, size_t stats_size)
{
	struct oomreclaim_reclaim_stats now;
	struct reclaim_totals direct, background;

	if (stats == NULL)
		return EINVAL;
	reclaim_totals(false, &direct);
	reclaim_totals(true, &background);
	now = (struct oomreclaim_reclaim_stats){
		.direct_rounds = direct.rounds,
		.direct_bytes_claimed = direct.claimed_bytes,
		.direct_bytes_measured = direct.measured_bytes,
		.background_rounds = background.rounds,
		.background_bytes_claimed = background.claimed_bytes,
		.background_bytes_measured = background.measured_bytes,
	};
	copy_sized(stats, stats_size, &now, sizeof now);
	return 0;
}

static void put_reclaim(struct oomreclaim_stats *stats)
{
	struct oomreclaim_reclaim_stats reclaim;
	unsigned callbacks;

	oomreclaim_reclaim_stats(&reclaim, sizeof reclaim);
	stats->direct_rounds = reclaim.direct_rounds;
	stats->direct_bytes_claimed = reclaim.direct_bytes_claimed;
	stats->direct_bytes_measured = reclaim.direct_bytes_measured;
	stats->background_rounds = reclaim.background_rounds;
	stats->background_bytes_claimed = reclaim.background_bytes_claimed;
	stats->background_bytes_measured = reclaim.background_bytes_measured;
	registry_lines(NULL, 0, &callbacks);
	stats->callbacks = callbacks;
}

static void put_purgeable(struct oomreclaim_stats *stats)
{
	struct purgeable_totals totals;

	purgeable_totals(&totals);
	stats->purgeable = totals.bytes;
	stats->purged = totals.purged_bytes;
}

static void put_headroom(struct oomreclaim_stats *stats)
{
	struct headroom nearest;
	size_t bytes;

	headroom_nearest(&nearest, true);
	bytes = headroom_below(&nearest, heap_ops.evictable());
	stats->headroom = bytes == SIZE_MAX ? UINT64_MAX : bytes;
	stats->level = level_by_rest();
	strcpy(stats->headroom_constraint, nearest.constraint);
}

void stats_gather(struct oomreclaim_stats *stats)
{
	memset(stats, 0, sizeof *stats);
	stats->struct_size = sizeof *stats;
	put_heap(stats);
	put_budget(stats);
	put_ladder(stats);
	put_reclaim(stats);
	put_purgeable(stats);
	put_headroom(stats);
	put_last(stats);
}

OOM_EXPORT int oomreclaim_stats_get(struct oomreclaim_stats *stats, size_t stats_size)
{
	struct oomreclaim_stats now;

	if (stats == NULL || stats_size < sizeof now.struct_size)
		return EINVAL;
	atomic_store_explicit(&is_read, true, memory_order_relaxed);
	stats_gather(&now);
	if (stats_size < sizeof now)
		now.struct_size = stats_size;
	memcpy(stats, &now, (size_t)now.struct_size);
	return 0;
}

void stats_fork_child(void)
{
	/* A thread that had the flag is in the parent. */
	give_back();
}
