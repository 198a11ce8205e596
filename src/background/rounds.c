/* SPDX-License-Identifier: BSD-2-Clause */
#include "background/rounds.h"

#include "base/base.h"
#include "config/options.h"
#include "heap/heap_ops.h"
#include "limits/budget.h"
#include "limits/group_low.h"
#include "reclaim/control.h"
#include "reclaim/reclaim.h"

bool rounds_make(struct rounds *rounds, size_t wanted_bytes)
{
	const struct reclaim_request request = {
		.wanted_bytes = wanted_bytes,
		.reason = rounds->reason,
		.constraint = rounds->constraint != NULL ? rounds->constraint : "NONE",
		.attempt = rounds->made++,
		.only_handle = rounds->only,
		.is_background = true,
		.deadline_ns = now_ns() + options.wait_ms * NSEC_PER_MSEC,
	};
	struct reclaim_progress progress;

	reclaim_round(&request, &progress);
	rounds->claimed_bytes = add_saturated(rounds->claimed_bytes, progress.claimed_bytes);
	rounds->unmeasured = progress.measured_bytes > 0 ? 0 : rounds->unmeasured + 1;
	return progress.claimed_bytes > 0 && rounds->unmeasured < MAX_RECLAIM_RETRIES;
}

size_t rounds_give_back(enum group_keeps keeps)
{
	struct heap_stats stats;

	heap_ops.flush_thread();
	heap_ops.purge(keeps);
	return group_has_protection() && heap_ops.stats(&stats) ? stats.dirty : 0;
}

size_t rounds_excess(size_t kept)
{
	size_t above = budget_above_low();
	struct heap_stats stats;

	if (above == 0 || !heap_ops.stats(&stats))
		return above;
	stats.dirty -= min_size(stats.dirty, kept);
	return above > stats.dirty ? above - stats.dirty : 0;
}
