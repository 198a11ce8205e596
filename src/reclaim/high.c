/* SPDX-License-Identifier: BSD-2-Clause */
#include "reclaim/high.h"

#include "base/base.h"
#include "heap/heap_ops.h"
#include "reclaim/descent.h"
#include "reclaim/reclaim.h"
#include "reclaim/registry.h"
#include "reclaim/scope.h"

/* calculate_high_delay(): by the square of the part that the group is above, in proportion to what
   is taken. At a tenth above, 640 ms for each 256 KiB; at a hundredth 6. */
#define PART ((size_t)1024)
#define MS_AT_TWICE ((size_t)64000)
#define FOR_BYTES ((size_t)256 << 10)

/* Between two looks whether the group is below again. */
#define LOOK_MS 10

uint64_t high_penalty_ms(size_t charged, size_t high, size_t bytes)
{
	size_t above = charged > high ? charged - high : 0, part, ms;

	/* At twice its high it is as long as it gets, for the smallest piece. */
	part = above >= high ? PART : mul_saturated(above, PART) / high;
	ms = mul_saturated(part * part * MS_AT_TWICE / (PART * PART), bytes) / FOR_BYTES;
	return above == 0 ? 0 : min_size(ms, HIGH_WAIT_MS_MAX);
}

static void ask(unsigned slot, size_t bytes, uint64_t deadline_ns)
{
	const struct reclaim_request request = {
		.wanted_bytes = bytes,
		.in_group = slot,
		.reason = OOMRECLAIM_REASON_WATERMARK,
		.constraint = "GROUP",
		.deadline_ns = deadline_ns,
	};
	struct reclaim_progress progress;

	reclaim_round(&request, &progress);
}

/* reclaim_high(): what is free, then the callbacks. */
static void reclaim_above(unsigned slot, uint64_t deadline_ns)
{
	size_t bytes = group_above_high(slot);

	if (bytes == 0)
		return;
	group_count_high(slot);
	heap_ops.flush_thread();
	heap_ops.group_evict(slot, bytes, GROUP_KEEPS_LOW);
	bytes = group_above_high(slot);
	if (bytes > 0 && registry_newest() != 0) {
		ask(slot, bytes, deadline_ns);
		heap_ops.group_evict(slot, group_above_high(slot), GROUP_KEEPS_LOW);
		bytes = group_above_high(slot);
	}
	if (bytes > 0)
		heap_ops.group_evict(slot, bytes, GROUP_KEEPS_MIN);
}

/* The longest of those of the group and its ancestors. */
static uint64_t penalty_ms(unsigned slot, size_t bytes)
{
	uint64_t most = 0, ms;

	for (; slot != 0; slot = group_parent(slot)) {
		ms = high_penalty_ms(group_charged(slot), group_high(slot), bytes);
		most = ms > most ? ms : most;
	}
	return most;
}

/* Others may free meanwhile. */
static void wait_above(unsigned slot, size_t bytes, uint64_t deadline_ns)
{
	uint64_t now = now_ns(), end = now + penalty_ms(slot, bytes) * NSEC_PER_MSEC;

	if (end > deadline_ns)
		end = deadline_ns;
	while (now < end && penalty_ms(slot, bytes) > 0) {
		pause_ns(min_size(end - now, LOOK_MS * NSEC_PER_MSEC));
		now = now_ns();
	}
}

/* A request that asks nobody to give does not wait either. */
static bool is_wanted(unsigned slot)
{
	const unsigned asks_nobody = OOMRECLAIM_SCOPE_NORECLAIM | OOMRECLAIM_SCOPE_NORETRY;

	return slot != 0 && !descent_is_open() && !heap_ops.is_reentrant() &&
	       (scope_current() & asks_nobody) == 0;
}

OOM_NOINLINE void high_reclaim(void)
{
	size_t bytes = group_over_high;
	unsigned slot = heap_ops.group_current();
	struct descent descent;
	uint64_t deadline_ns;

	group_over_high = 0;
	if (!is_wanted(slot))
		return;
	/* One for all: for others' rounds, in whichever group, and for what is to be freed. */
	deadline_ns = now_ns() + HIGH_WAIT_MS_MAX * NSEC_PER_MSEC;
	descent_begin(&descent);
	for (unsigned at = slot; at != 0; at = group_parent(at))
		reclaim_above(at, deadline_ns);
	wait_above(slot, bytes, deadline_ns);
	descent_end(&descent);
}
