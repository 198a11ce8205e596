/* SPDX-License-Identifier: BSD-2-Clause */
/* Callbacks that leave by longjmp() or pthread_exit(), against the rules: nobody waits for them.
   Exceptions are in preload/hpp.cpp. */
#include <criterion/criterion.h>
#include <setjmp.h>

#include "base/base.h"
#include "base/fork_gate.h"
#include "config/options.h"
#include "fake_heap.h"
#include "kill/policy.h"
#include "ladder/ladder.h"
#include "limits/group.h"
#include "reclaim/descent.h"
#include "reclaim/reclaim.h"
#include "reclaim/scope.h"
#include "support.h"

static void init(void)
{
	support_init();
	/* Each wait for a round is longer than the test may take. */
	cr_assert_eq(options_apply("test", "wait_ms:3600000", &options, NULL), 0);
}

TestSuite(guard, .init = init, .timeout = WATCHDOG_SECONDS);

static const struct heap_request request = {.size = 1000};
static jmp_buf outside;
static oomreclaim_handle handle;
static atomic_uint calls;
static void (*leave)(void);

/* The first call does not come back. */
static size_t leave_once(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	if (atomic_fetch_add(&calls, 1) == 0)
		leave();
	return 0;
}

static void jump(void)
{
	longjmp(outside, 1);
}

static void end_thread(void)
{
	pthread_exit(NULL);
}

/* With a frame of its own, as malloc() has: what is inlined into the function that jumps back to
   itself is not left by the jump. */
__attribute__((noinline)) static void descend_below(void)
{
	ladder_descend(&request);
}

static void descend(void)
{
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	if (setjmp(outside) == 0)
		descend_below();
}

static bool is_cancellable(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
	return state == PTHREAD_CANCEL_ENABLE;
}

static void begin(void (*how)(void))
{
	leave = how;
	cr_assert_eq(oomreclaim_register("leaves", 0, 0, leave_once, NULL, &handle), 0);
}

static void expect_as_before(void)
{
	struct oomreclaim_callback_stats stats;

	cr_expect_eq(oomreclaim_callback_stats(handle, &stats, sizeof stats), 0);
	cr_expect_eq(stats.calls, 1, "it has ended");
	cr_expect_not(descent_is_open());
	cr_expect_not(reclaim_is_caller());
	/* Rounds and the callback go on. */
	descend();
	cr_expect_eq(atomic_load(&calls), 2);
	cr_expect_eq(oomreclaim_unregister(handle), 0);
}

Test(guard, a_jump)
{
	begin(jump);
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_RETRY_MAYFAIL);
	descend();
	cr_expect_eq(atomic_load(&calls), 1);
	cr_expect(is_cancellable());
	cr_expect_eq(scope_current(), OOMRECLAIM_SCOPE_RETRY_MAYFAIL);
	expect_as_before();
}

/* What scope NOFAIL is spared ends with the request. */
Test(guard, a_jump_out_of_a_request_that_can_not_fail)
{
	begin(jump);
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL);
	descend();
	oomreclaim_scope_restore(0);
	cr_expect_not(group_spare(false));
	expect_as_before();
}

Test(guard, a_thread_that_ends)
{
	struct thread thread = {0};

	begin(end_thread);
	thread_start(&thread, descend);
	thread_join(&thread);
	expect_as_before();
}

static struct gate inside = GATE, go_on = GATE;

static void jump_late(void)
{
	gate_open(&inside);
	gate_wait(&go_on);
	jump();
}

static void reclaim_by_hand(void)
{
	oomreclaim_reclaim(1);
}

static void unregister_it(void)
{
	oomreclaim_unregister(handle);
}

Test(guard, those_who_wait_for_the_round_go_on)
{
	struct thread leaving = {0}, waiting = {0}, draining = {0};

	begin(jump_late);
	thread_start(&leaving, descend);
	gate_wait(&inside);
	thread_start(&waiting, reclaim_by_hand);
	thread_wait_asleep(&waiting);
	thread_start(&draining, unregister_it);
	thread_wait_asleep(&draining);
	gate_open(&go_on);
	thread_join(&leaving);
	thread_join(&waiting);
	thread_join(&draining);
	cr_expect_eq(atomic_load(&calls), 1);
}

/* As oomreclaimd has them called, which fork() waits for. */
__attribute__((noinline)) static void reclaim_below(void)
{
	const struct reclaim_request in_background = {.wanted_bytes = 1000, .is_background = true};
	struct reclaim_progress progress;
	struct descent descent;

	descent_begin(&descent);
	reclaim_round(&in_background, &progress);
	descent_end(&descent);
}

static void reclaim_in_background(void)
{
	if (setjmp(outside) == 0)
		reclaim_below();
}

static void expect_no_wait_for_it(void)
{
	cr_expect_eq(atomic_load(&calls), 1);
	fork_gate_prepare(3600 * NSEC_PER_SEC);
	fork_gate_parent();
}

Test(guard, fork_does_not_wait_for_a_jump)
{
	begin(jump);
	reclaim_in_background();
	expect_no_wait_for_it();
}

Test(guard, fork_does_not_wait_for_a_thread_that_ended)
{
	struct thread thread = {0};

	begin(end_thread);
	thread_start(&thread, reclaim_in_background);
	thread_join(&thread);
	expect_no_wait_for_it();
}

static jmp_buf within;

static size_t jump_within(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	if (setjmp(within) == 0)
		longjmp(within, 1);
	cr_expect(descent_is_open());
	fake_heap_freed(1000);
	return 1000;
}

Test(guard, a_jump_that_stays_inside_is_none)
{
	oomreclaim_register("within", 0, 0, jump_within, NULL, &handle);
	cr_expect_eq(oomreclaim_reclaim(1000), 1000);
}

/* ---- The policy's ---- */

static enum oomreclaim_policy leave_policy(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)verdict;
	(void)arg;
	if (atomic_fetch_add(&calls, 1) == 0)
		leave();
	return OOMRECLAIM_POLICY_RETURN;
}

static void remove_policy(void)
{
	oomreclaim_set_policy_callback(NULL, NULL);
}

static void expect_policy_as_before(void)
{
	struct thread removing = {0};

	cr_expect_not(descent_is_open());
	descend();
	cr_expect_eq(atomic_load(&calls), 2);
	/* By another thread: it would wait for a call that had not ended. */
	thread_start(&removing, remove_policy);
	thread_join(&removing);
}

Test(guard, a_jump_out_of_the_policy_s)
{
	leave = jump;
	oomreclaim_set_policy_callback(leave_policy, NULL);
	descend();
	cr_expect(is_cancellable());
	expect_policy_as_before();
}

Test(guard, a_thread_that_ends_in_the_policy_s)
{
	struct thread thread = {0};

	leave = end_thread;
	oomreclaim_set_policy_callback(leave_policy, NULL);
	thread_start(&thread, descend);
	thread_join(&thread);
	expect_policy_as_before();
}
