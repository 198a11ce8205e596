/* SPDX-License-Identifier: BSD-2-Clause */
/* Rounds of groups: one at a time, and none takes what another has freed for its own. */
#include <criterion/criterion.h>

#include "base/base.h"
#include "fake_heap.h"
#include "limits/group.h"
#include "reclaim/descent.h"
#include "reclaim/reclaim.h"
#include "slow_round.h"
#include "support.h"

TestSuite(reclaim_group, .init = support_init, .timeout = WATCHDOG_SECONDS);

static struct gate inside = GATE, go_on = GATE;
static struct thread slow, behind;
static struct reclaim_progress slow_got, behind_got;
static unsigned a, b;

static unsigned add(const char *name)
{
	int slot;

	group_lock();
	slot = group_add(name, 0);
	group_unlock();
	return (unsigned)slot;
}

static size_t give_slowly(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	gate_open(&inside);
	gate_wait(&go_on);
	fake_heap_note('A');
	return 100;
}

static size_t give(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	fake_heap_note('B');
	return 7;
}

static struct reclaim_progress run_in(unsigned slot, uint64_t wait_ns)
{
	const struct reclaim_request request = {.wanted_bytes = 1000,
	                                        .constraint = "GROUP",
	                                        .in_group = slot,
	                                        .deadline_ns = now_ns() + wait_ns};
	struct reclaim_progress progress;
	struct descent descent;

	descent_begin(&descent);
	reclaim_round(&request, &progress);
	descent_end(&descent);
	return progress;
}

static void run_slow(void)
{
	slow_got = run_in(a, FOR_EVER_NS);
}

static void run_behind(void)
{
	behind_got = run_in(b, FOR_EVER_NS);
}

static void begin(void)
{
	a = add("a");
	b = add("b");
	fake_heap_group = a;
	oomreclaim_register("slow", 0, 0, give_slowly, NULL, NULL);
	fake_heap_group = b;
	oomreclaim_register("give", 0, 0, give, NULL, NULL);
	fake_heap_clear_trace();
	thread_start(&slow, run_slow);
	gate_wait(&inside);
}

Test(reclaim_group, waits_for_another_and_begins_its_own)
{
	struct oomreclaim_group_stats stats;

	begin();
	thread_start(&behind, run_behind);
	thread_wait_asleep(&behind);
	cr_expect_eq(fake_heap_count('B'), 0);
	gate_open(&go_on);
	thread_join(&slow);
	thread_join(&behind);
	cr_expect_eq(slow_got.claimed_bytes, 100);
	cr_expect_eq(behind_got.claimed_bytes, 7);
	cr_expect_eq(fake_heap_count('A'), 1);
	group_stats(a, &stats);
	cr_expect_eq(stats.reclaimed, 100);
	group_stats(b, &stats);
	cr_expect_eq(stats.reclaimed, 7);
}

Test(reclaim_group, does_not_wait_for_ever)
{
	struct reclaim_progress progress;

	begin();
	progress = run_in(b, 1);
	cr_expect(progress.has_timed_out);
	cr_expect_str_eq(progress.waited_for, "slow");
	cr_expect_eq(fake_heap_count('B'), 0);
	/* The process's own rounds do not wait, but for a callback that is inside. */
	gate_open(&go_on);
	thread_join(&slow);
	cr_expect_eq(run_in(b, FOR_EVER_NS).claimed_bytes, 7);
}
