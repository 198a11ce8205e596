/* SPDX-License-Identifier: BSD-2-Clause */
/* What is counted beside the charges: what was committed of them, and what is told of them. */
#include <errno.h>
#include <stdatomic.h>

#include "base/base.h"
#include "base/raise.h"
#include "limits/budget.h"
#include "limits/budget_inside.h"
#include "limits/total.h"
#include "oomreclaim.h"

/* Each stands for itself alone, so no order is needed. What is committed is one word, and no
   difference of two: a fork() may come in between. */
static atomic_size_t committed;
static atomic_size_t peak;
static _Atomic uint64_t times_met;

OOM_NOINLINE void budget_commit_charge(size_t bytes)
{
	size_t now = atomic_fetch_add_explicit(&committed, bytes, memory_order_relaxed) + bytes;

	/* Not of what is charged: some of that other threads may just be going to be refused. */
	raise_to(&peak, now);
	budget_note_committed(now);
}

void budget_uncharge(size_t bytes)
{
	atomic_fetch_sub_explicit(&committed, bytes, memory_order_relaxed);
	budget_cancel_charge(bytes);
}

size_t budget_committed(void)
{
	return get(&committed);
}

void budget_note_met(void)
{
	atomic_fetch_add_explicit(&times_met, 1, memory_order_relaxed);
}

size_t budget_room(void)
{
	size_t now = budget_charged(), limit = oomreclaim_get_limit();

	return now < limit ? min_size(limit - now, total_room()) : 0;
}

OOM_EXPORT int oomreclaim_limit_stats(struct oomreclaim_limit_stats *stats, size_t stats_size)
{
	const struct oomreclaim_limit_stats now = {
		.limit = oomreclaim_get_limit(),
		.charged = budget_charged(),
		.peak = get(&peak),
		.times_met = atomic_load_explicit(&times_met, memory_order_relaxed),
	};

	if (stats == NULL)
		return EINVAL;
	copy_sized(stats, stats_size, &now, sizeof now);
	return 0;
}
