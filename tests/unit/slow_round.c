/* SPDX-License-Identifier: BSD-2-Clause */
#include "slow_round.h"

#include "base/base.h"
#include "fake_heap.h"
#include "reclaim/descent.h"

struct gate slow_inside = GATE, slow_go_on = GATE;
size_t slow_wanted_from_last;
struct thread slow_owner, slow_joiner;
struct reclaim_progress slow_owners, slow_joiners;

struct reclaim_progress round_run(size_t wanted_bytes, uint64_t deadline_ns, bool is_background)
{
	const struct reclaim_request round = {.wanted_bytes = wanted_bytes,
	                                      .constraint = "NONE",
	                                      .is_background = is_background,
	                                      .deadline_ns = deadline_ns};
	struct reclaim_progress progress;
	struct descent descent;

	descent_begin(&descent);
	reclaim_round(&round, &progress);
	descent_end(&descent);
	return progress;
}

size_t slow_callback(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	fake_heap_note('S');
	gate_open(&slow_inside);
	gate_wait(&slow_go_on);
	fake_heap_freed(10);
	return SLOW_BYTES;
}

size_t slow_last(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	fake_heap_note('L');
	slow_wanted_from_last = control->bytes_wanted;
	return 0;
}

void slow_add(void)
{
	oomreclaim_register("slow", 2, 0, slow_callback, NULL, NULL);
	oomreclaim_register("last", 1, 0, slow_last, NULL, NULL);
}

static void own(void)
{
	slow_owners = round_run(1000, now_ns() + FOR_EVER_NS, false);
}

void slow_join(void)
{
	slow_joiners = round_run(5000, now_ns() + FOR_EVER_NS, false);
}

void slow_begin(void)
{
	slow_add();
	thread_start(&slow_owner, own);
	gate_wait(&slow_inside);
}

void slow_end(void)
{
	gate_open(&slow_go_on);
	thread_join(&slow_owner);
}
