/* SPDX-License-Identifier: BSD-2-Clause */
/* Shrinkers whose count() takes its time, for a thread that allocates, and for oomreclaimd. */
#include <unistd.h>

#include "budget_set.h"
#include "limits/budget.h"
#include "shrinkers.h"
#include "slow_round.h"

TestSuite(shrinker_slow, .init = support_init, .timeout = WATCHDOG_SECONDS);

static oomreclaim_handle slow;
static struct cache other = {.bytes = 8 * MIB};

static size_t give_all(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	fake_heap_freed(control->bytes_wanted);
	return control->bytes_wanted;
}

static void run_round(void)
{
	slow_owners = round_run(MIB, now_ns() + FOR_EVER_NS, false);
}

Test(shrinker_slow, who_waits_for_a_count_gives_up)
{
	struct reclaim_progress progress;

	slow = add(slow_callback, give_all, NULL);
	cache_add(&other);
	thread_start(&slow_owner, run_round);
	gate_wait(&slow_inside);
	progress = round_run(MIB, now_ns() + 1, false);
	cr_expect(progress.has_timed_out);
	cr_expect_eq(progress.claimed_bytes, 0);
	cr_expect_eq(other.counts + other.scans, 0);
	gate_open(&slow_go_on);
	thread_join(&slow_owner);
	cr_expect_geq(slow_owners.claimed_bytes, MIB);
	cr_expect_gt(other.scans, 0);
}

static void unregister_slow(void)
{
	cr_expect_eq(oomreclaim_unregister(slow), 0);
	fake_heap_note('U');
}

Test(shrinker_slow, unregister_waits_for_a_count)
{
	struct thread thread;

	slow = add(slow_callback, give_all, NULL);
	thread_start(&slow_owner, run_round);
	gate_wait(&slow_inside);
	fake_heap_clear_trace();
	thread_start(&thread, unregister_slow);
	thread_wait_asleep(&thread);
	cr_expect_eq(fake_heap_count('U'), 0);
	gate_open(&slow_go_on);
	thread_join(&thread);
	thread_join(&slow_owner);
	cr_expect_eq(registered(), 0);
	cr_expect_eq(slow_owners.claimed_bytes, 0, "it is not scanned any more");
}

/* One that oomreclaimd counts for its target is passed over, and the others are asked. */
Test(shrinker_slow, a_count_for_targets_keeps_nobody_from_the_others)
{
	budget_set("limit:64M");
	fake_heap_evictable = 0;
	slow = add(slow_callback, give_all, NULL);
	cache_add(&other);
	oomreclaim_cache_target(slow);
	gate_wait(&slow_inside);
	cr_expect_eq(want(MIB).claimed_bytes, MIB);
	cr_expect_eq(other.lost, MIB);
	cr_expect_eq(oomreclaim_cache_target(slow), SIZE_MAX, "asking does not wait for it");
	gate_open(&slow_go_on);
	while (oomreclaim_cache_target(slow) == SIZE_MAX)
		usleep(1000);
}
