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
#include "slow_round.h"
#include "support.h"

TestSuite(reclaim_threads, .init = support_init, .timeout = WATCHDOG_SECONDS);

static const struct heap_request request = {.size = 1000};
static struct thread other;

static void join_for_more(void)
{
	round_run(300, now_ns() + FOR_EVER_NS, false);
}

Test(reclaim_threads, those_who_wait_share_the_progress)
{
	slow_begin();
	thread_start(&slow_joiner, slow_join);
	thread_wait_asleep(&slow_joiner);
	cr_expect_eq(fake_heap_count('S'), 1, "one thread at a time");
	slow_end();
	thread_join(&slow_joiner);
	cr_expect_eq(fake_heap_count('S'), 1);
	cr_expect_eq(fake_heap_count('L'), 1);
	cr_expect_eq(slow_owners.claimed_bytes, SLOW_BYTES);
	cr_expect_eq(slow_joiners.claimed_bytes, SLOW_BYTES);
	cr_expect_eq(slow_joiners.measured_bytes, 10);
	cr_expect_not(slow_joiners.has_timed_out);
}

Test(reclaim_threads, those_who_wait_want_more)
{
	slow_begin();
	thread_start(&slow_joiner, slow_join);
	thread_wait_asleep(&slow_joiner);
	thread_start(&other, join_for_more);
	thread_wait_asleep(&other);
	slow_end();
	thread_join(&slow_joiner);
	thread_join(&other);
	cr_expect_eq(slow_wanted_from_last, 1000 + 5000 + 300 - SLOW_BYTES);
}

Test(reclaim_threads, what_was_wanted_in_one_round_is_not_in_the_next)
{
	slow_begin();
	thread_start(&slow_joiner, slow_join);
	thread_wait_asleep(&slow_joiner);
	slow_end();
	thread_join(&slow_joiner);
	round_run(1000, now_ns() + FOR_EVER_NS, false);
	cr_expect_eq(slow_wanted_from_last, 1000 - SLOW_BYTES);
}

Test(reclaim_threads, a_waiter_gives_up)
{
	struct reclaim_progress progress;

	slow_begin();
	progress = round_run(5000, now_ns(), false);
	cr_expect(progress.has_timed_out);
	cr_expect_str_eq(progress.waited_for, "slow");
	cr_expect_eq(progress.claimed_bytes, 0);
	slow_end();
	cr_expect_eq(slow_wanted_from_last, 1000 - SLOW_BYTES, "its wish is gone with it");
	cr_expect_not(slow_owners.has_timed_out);
}

/* Of those who wait, one gives up: what the other wants is still wanted. */
Test(reclaim_threads, one_of_two_waiters_gives_up)
{
	slow_begin();
	thread_start(&slow_joiner, slow_join);
	thread_wait_asleep(&slow_joiner);
	cr_expect(round_run(300, now_ns() + 1, false).has_timed_out);
	slow_end();
	thread_join(&slow_joiner);
	cr_expect_eq(slow_wanted_from_last, 1000 + 5000 - SLOW_BYTES);
}

Test(reclaim_threads, a_long_name_in_full)
{
	struct reclaim_progress progress;

	oomreclaim_register("1234567890123456789012345678901", 9, 0, slow_callback, NULL, NULL);
	slow_begin();
	progress = round_run(1, now_ns(), false);
	cr_expect_str_eq(progress.waited_for, "1234567890123456789012345678901");
	slow_end();
}

Test(reclaim_threads, giving_up_is_a_line_and_never_the_policy)
{
	struct capture capture;

	options_apply("test", "wait_ms:1", &options, NULL);
	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	slow_begin();
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	capture_begin(&capture);
	errno = ERRNO_UNTOUCHED;
	cr_expect_null(ladder_descend(&request));
	cr_expect_eq(errno, ENOMEM);
	cr_expect_str_eq(capture_next(&capture),
	                 "oomreclaim: no memory for 1000 bytes: gave up after 1 ms of waiting for "
	                 "callback \"slow\" in another thread\n");
	cr_expect_str_eq(capture_next(&capture), "");
	capture_end(&capture);
	slow_end();
}

Test(reclaim_threads, a_scope_in_which_nobody_is_waited_for)
{
	const unsigned scopes[] = {OOMRECLAIM_SCOPE_NORECLAIM, OOMRECLAIM_SCOPE_NORETRY};

	/* Else it would hang. */
	options_apply("test", "wait_ms:3600000", &options, NULL);
	slow_begin();
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	for (size_t i = 0; i < ARRAY_SIZE(scopes); i++) {
		unsigned old = oomreclaim_scope_save(scopes[i]);

		cr_expect_null(ladder_descend(&request));
		oomreclaim_scope_restore(old);
	}
	slow_end();
}

/* ---- Background ---- */

static void own_background(void)
{
	slow_owners = round_run(1000, now_ns() + FOR_EVER_NS, true);
}

Test(reclaim_threads, a_direct_round_does_not_wait_for_a_background_one)
{
	slow_add();
	oomreclaim_register("direct", 9, OOMRECLAIM_CALLBACK_DIRECT, slow_last, NULL, NULL);
	thread_start(&slow_owner, own_background);
	gate_wait(&slow_inside);
	/* Nothing is claimed, so it waits in the end, and gives up. */
	slow_joiners = round_run(1000, now_ns(), false);
	cr_expect_eq(fake_heap_count('L'), 2, "all but the callback that the other is in");
	cr_expect_eq(fake_heap_count('S'), 1);
	cr_expect(slow_joiners.has_timed_out, "so nobody is killed for it");
	cr_expect_str_eq(slow_joiners.waited_for, "slow");
	slow_end();
}

static void want_directly(void)
{
	slow_joiners = round_run(1000, now_ns() + FOR_EVER_NS, false);
}

Test(reclaim_threads, a_direct_round_that_finds_nothing_waits_for_a_background_one)
{
	slow_add();
	thread_start(&slow_owner, own_background);
	gate_wait(&slow_inside);
	thread_start(&slow_joiner, want_directly);
	thread_wait_asleep(&slow_joiner);
	slow_end();
	thread_join(&slow_joiner);
	cr_expect_eq(slow_joiners.claimed_bytes, SLOW_BYTES);
	cr_expect_not(slow_joiners.has_timed_out);
}
