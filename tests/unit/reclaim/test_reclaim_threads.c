/* SPDX-License-Identifier: BSD-2-Clause */
/* Several threads that want a round. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "config/options.h"
#include "fake_heap.h"
#include "kill/policy.h"
#include "ladder/ladder.h"
#include "reclaim/reclaim.h"
#include "reclaim/scope.h"
#include "support.h"

TestSuite(reclaim_threads, .init = support_init, .timeout = WATCHDOG_SECONDS);

/* Longer than any test: who waits so long waits for ever. */
#define FOR_EVER_NS (3600 * NSEC_PER_SEC)

static const struct heap_request request = {.size = 1000};
static struct gate inside = GATE, go_on = GATE;

static struct reclaim_progress run(size_t wanted_bytes, uint64_t deadline_ns, bool is_background)
{
	const struct reclaim_request round = {.wanted_bytes = wanted_bytes,
	                                      .constraint = "NONE",
	                                      .is_background = is_background,
	                                      .deadline_ns = deadline_ns};
	struct reclaim_progress progress;
	struct scope_ladder enter;

	scope_enter_ladder(&enter);
	oom_reclaim_pages(&round, &progress);
	scope_leave_ladder(&enter);
	return progress;
}

/* The first callback of a round: stays inside until the test has done what it wants to. */
static const size_t SLOW_BYTES = 100;

static size_t slow(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	fake_heap_note('S');
	gate_open(&inside);
	gate_wait(&go_on);
	fake_heap_freed(10);
	return SLOW_BYTES;
}

/* The second one. */
static size_t wanted_from_last;

static size_t last(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	fake_heap_note('L');
	wanted_from_last = control->bytes_wanted;
	return 0;
}

static void add_callbacks(void)
{
	oomreclaim_register("slow", 2, 0, slow, NULL, NULL);
	oomreclaim_register("last", 1, 0, last, NULL, NULL);
}

static struct thread owner, joiner, other;
static struct reclaim_progress owners, joiners;

static void own(void)
{
	owners = run(1000, now_ns() + FOR_EVER_NS, false);
}

static void join(void)
{
	joiners = run(5000, now_ns() + FOR_EVER_NS, false);
}

static void join_for_more(void)
{
	run(300, now_ns() + FOR_EVER_NS, false);
}

/* A round that is inside of `slow`, which ends with go_on. */
static void begin_round(void)
{
	add_callbacks();
	thread_start(&owner, own);
	gate_wait(&inside);
}

static void end_round(void)
{
	gate_open(&go_on);
	thread_join(&owner);
}

Test(reclaim_threads, those_who_wait_share_the_progress)
{
	begin_round();
	thread_start(&joiner, join);
	thread_wait_asleep(&joiner);
	cr_expect_eq(fake_heap_count('S'), 1, "one thread at a time");
	end_round();
	thread_join(&joiner);
	cr_expect_eq(fake_heap_count('S'), 1);
	cr_expect_eq(fake_heap_count('L'), 1);
	cr_expect_eq(owners.claimed_bytes, SLOW_BYTES);
	cr_expect_eq(joiners.claimed_bytes, SLOW_BYTES);
	cr_expect_eq(joiners.measured_bytes, 10);
	cr_expect_not(joiners.has_timed_out);
}

Test(reclaim_threads, those_who_wait_want_more)
{
	begin_round();
	thread_start(&joiner, join);
	thread_wait_asleep(&joiner);
	thread_start(&other, join_for_more);
	thread_wait_asleep(&other);
	end_round();
	thread_join(&joiner);
	thread_join(&other);
	cr_expect_eq(wanted_from_last, 1000 + 5000 + 300 - SLOW_BYTES);
}

Test(reclaim_threads, what_was_wanted_in_one_round_is_not_in_the_next)
{
	begin_round();
	thread_start(&joiner, join);
	thread_wait_asleep(&joiner);
	end_round();
	thread_join(&joiner);
	run(1000, now_ns() + FOR_EVER_NS, false);
	cr_expect_eq(wanted_from_last, 1000 - SLOW_BYTES);
}

Test(reclaim_threads, a_waiter_gives_up)
{
	struct reclaim_progress progress;

	begin_round();
	progress = run(5000, now_ns(), false);
	cr_expect(progress.has_timed_out);
	cr_expect_str_eq(progress.waited_for, "slow");
	cr_expect_eq(progress.claimed_bytes, 0);
	end_round();
	cr_expect_eq(wanted_from_last, 1000 - SLOW_BYTES, "its wish is gone with it");
	cr_expect_not(owners.has_timed_out);
}

/* Of those who wait, one gives up: what the other wants is still wanted. */
Test(reclaim_threads, one_of_two_waiters_gives_up)
{
	begin_round();
	thread_start(&joiner, join);
	thread_wait_asleep(&joiner);
	cr_expect(run(300, now_ns() + 1, false).has_timed_out);
	end_round();
	thread_join(&joiner);
	cr_expect_eq(wanted_from_last, 1000 + 5000 - SLOW_BYTES);
}

Test(reclaim_threads, a_long_name_in_full)
{
	struct reclaim_progress progress;

	oomreclaim_register("1234567890123456789012345678901", 9, 0, slow, NULL, NULL);
	begin_round();
	progress = run(1, now_ns(), false);
	cr_expect_str_eq(progress.waited_for, "1234567890123456789012345678901");
	end_round();
}

Test(reclaim_threads, giving_up_is_a_line_and_never_the_policy)
{
	struct capture capture;

	options_apply("test", "wait_ms:1", &options, NULL);
	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	begin_round();
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	capture_begin(&capture);
	errno = ERRNO_UNTOUCHED;
	cr_expect_null(ladder_climb(&request));
	cr_expect_eq(errno, ENOMEM);
	cr_expect_str_eq(capture_next(&capture),
	                 "oomreclaim: no memory for 1000 bytes: gave up after 1 ms of waiting for "
	                 "callback \"slow\" in another thread\n");
	cr_expect_str_eq(capture_next(&capture), "");
	capture_end(&capture);
	end_round();
}

Test(reclaim_threads, a_scope_in_which_nobody_is_waited_for)
{
	const unsigned scopes[] = {OOMRECLAIM_SCOPE_NORECLAIM, OOMRECLAIM_SCOPE_NORETRY};

	/* Else it would hang. */
	options_apply("test", "wait_ms:3600000", &options, NULL);
	begin_round();
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	for (size_t i = 0; i < ARRAY_SIZE(scopes); i++) {
		unsigned old = oomreclaim_scope_save(scopes[i]);

		cr_expect_null(ladder_climb(&request));
		oomreclaim_scope_restore(old);
	}
	end_round();
}

/* ---- Background ---- */

static void own_background(void)
{
	owners = run(1000, now_ns() + FOR_EVER_NS, true);
}

Test(reclaim_threads, a_direct_round_does_not_wait_for_a_background_one)
{
	add_callbacks();
	oomreclaim_register("direct", 9, OOMRECLAIM_CALLBACK_DIRECT, last, NULL, NULL);
	thread_start(&owner, own_background);
	gate_wait(&inside);
	/* Nothing is claimed, so it waits in the end, and gives up. */
	joiners = run(1000, now_ns(), false);
	cr_expect_eq(fake_heap_count('L'), 2, "all but the callback that the other is in");
	cr_expect_eq(fake_heap_count('S'), 1);
	cr_expect(joiners.has_timed_out, "so nobody is killed for it");
	cr_expect_str_eq(joiners.waited_for, "slow");
	end_round();
}

static void want_directly(void)
{
	joiners = run(1000, now_ns() + FOR_EVER_NS, false);
}

Test(reclaim_threads, a_direct_round_that_finds_nothing_waits_for_a_background_one)
{
	add_callbacks();
	thread_start(&owner, own_background);
	gate_wait(&inside);
	thread_start(&joiner, want_directly);
	thread_wait_asleep(&joiner);
	end_round();
	thread_join(&joiner);
	cr_expect_eq(joiners.claimed_bytes, SLOW_BYTES);
	cr_expect_not(joiners.has_timed_out);
}
