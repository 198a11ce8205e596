/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has happened on the failure path, counted; and all counters of the library in one struct.
 *
 * Counting allocates nothing, does not wait, and may be done with the heap's locks held.
 */
#ifndef OOM_STATS_H
#define OOM_STATS_H

#include <stdatomic.h>
#include <sys/types.h>

#include "base/io.h"
#include "reclaim/control.h"

enum stats_counter {
	STATS_FAILURES,
	STATS_SERVED,
	STATS_REFUSED,
	STATS_IMPOSSIBLE,
	STATS_OWN_RECLAIMS,
	STATS_FLUSHES,
	STATS_COMPACTIONS,
	STATS_BORROWS,
	STATS_EVICTIONS,
	STATS_FULL_EVICTIONS,
	STATS_RESERVE_USES,
	STATS_ROUNDS,
	STATS_TIMEOUTS,
	STATS_POLICIES,
	STATS_KILLS,
	STATS_WAITS,
	STATS_COUNTERS
};

/* True if the counters are read: by the program, or by others with the setting stats. */
bool stats_is_read(void);

/* Relaxed: each stands for itself alone. */
extern _Atomic uint64_t stats_counters[STATS_COUNTERS];

static inline void stats_count(enum stats_counter counter)
{
	atomic_fetch_add_explicit(&stats_counters[counter], 1, memory_order_relaxed);
}

/* The last verdict: how this request ended. Of two at the same moment one is kept. */
void stats_verdict(const struct oom_control *control, enum oomreclaim_outcome outcome,
                   pid_t victim);

/* Reads everything, with none of the heap's locks held. */
void stats_gather(struct oomreclaim_stats *stats);

/* "served" and so on. */
const char *stats_outcome_name(uint32_t outcome);

/* A section for malloc_stats_print(): a table, or one member of a JSON object without a comma. In
   two parts, one after the other: no buffer has to hold all of it. */
void stats_put(struct io_buf *buf, bool is_json);
void stats_put_end(struct io_buf *buf, bool is_json);

/* A name of the application's. */
void stats_put_name(struct io_buf *buf, const char *name, bool is_json);

void stats_fork_child(void);

#endif
