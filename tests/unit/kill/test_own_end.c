/* SPDX-License-Identifier: BSD-2-Clause */
/* Rungs 12 and 13: what the policy does. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "config/options.h"
#include "kill/own_end.h"
#include "support.h"

TestSuite(own_end, .init = support_init, .timeout = WATCHDOG_SECONDS);

static void set(const char *conf)
{
	cr_assert_eq(options_apply("test", conf, &options, NULL), 0);
}

static void act_abort(void)
{
	own_end_act(OOMRECLAIM_POLICY_ABORT);
}

static void act_kill(void)
{
	own_end_act(OOMRECLAIM_POLICY_KILL);
}

static void expect_signal(void (*function)(void), int signal)
{
	int status = run_child(function);

	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == signal, "wait status %#x",
	          (unsigned)status);
}

static void expect_exit(void (*function)(void), int code)
{
	int status = run_child(function);

	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == code, "wait status %#x",
	          (unsigned)status);
}

Test(own_end, abort)
{
	expect_signal(act_abort, SIGABRT);
}

Test(own_end, kill)
{
	expect_signal(act_kill, SIGKILL);
}

Test(own_end, kill_by_another_signal)
{
	set("kill_signal:TERM");
	expect_signal(act_kill, SIGTERM);
	set("kill_signal:SIGUSR1");
	expect_signal(act_kill, SIGUSR1);
}

/* ---- Other threads meanwhile ---- */

static void *ask(void *is_near)
{
	*(bool *)is_near = own_end_is_near();
	return NULL;
}

static bool is_near_elsewhere(void)
{
	pthread_t thread;
	bool is_near = false;

	cr_assert_eq(pthread_create(&thread, NULL, ask, &is_near), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	return is_near;
}

Test(own_end, others_wait_for_an_abort_until_the_grace_is_over)
{
	set("kill_signal:TERM,kill_grace_ms:1000");
	fake_clock_freeze();
	cr_expect_not(is_near_elsewhere(), "nobody ends it");
	own_end_mark(OOMRECLAIM_POLICY_ABORT);
	cr_expect(is_near_elsewhere());
	cr_expect_not(own_end_is_near(), "a handler of SIGABRT that allocates");
	fake_clock_advance(1000 * NSEC_PER_MSEC - 1);
	cr_expect(is_near_elsewhere());
	fake_clock_advance(1);
	cr_expect_not(is_near_elsewhere());
	/* What comes too late begins no grace anew. */
	own_end_mark(OOMRECLAIM_POLICY_ABORT);
	cr_expect_not(is_near_elsewhere());
}

/* Its handler may wait for one of them. */
Test(own_end, others_do_not_wait_for_an_hour)
{
	set("kill_grace_ms:3600000");
	fake_clock_freeze();
	own_end_mark(OOMRECLAIM_POLICY_ABORT);
	fake_clock_advance(5 * NSEC_PER_SEC - 1);
	cr_expect(is_near_elsewhere());
	fake_clock_advance(1);
	cr_expect_not(is_near_elsewhere());
}

static sigjmp_buf outside;

static void jump(int signal)
{
	(void)signal;
	siglongjmp(outside, 1);
}

static void end_thread(int signal)
{
	(void)signal;
	pthread_exit(NULL);
}

/* With a frame of its own, which the jump leaves. */
__attribute__((noinline)) static void end_below(enum oomreclaim_policy policy)
{
	cr_expect(own_end_mark(policy));
	own_end_act(policy);
}

static void end_and_jump(enum oomreclaim_policy policy, int signum)
{
	signal(signum, jump);
	if (sigsetjmp(outside, 1) == 0)
		end_below(policy);
}

/* A frozen clock: they would wait for ever. */
Test(own_end, a_handler_of_sigabrt_that_jumps_calls_it_off)
{
	fake_clock_freeze();
	for (int i = 0; i < 3; i++) {
		end_and_jump(OOMRECLAIM_POLICY_ABORT, SIGABRT);
		cr_expect_not(own_end_is_dying());
		cr_expect_not(is_near_elsewhere());
	}
	cr_expect(own_end_mark(OOMRECLAIM_POLICY_ABORT), "the next failure ends it again");
}

static void *end_by_exit(void *arg)
{
	signal(SIGABRT, end_thread);
	end_below(OOMRECLAIM_POLICY_ABORT);
	return arg;
}

static void *exit_at_once(void *arg)
{
	pthread_exit(arg);
}

Test(own_end, a_handler_of_sigabrt_that_ends_its_thread_calls_it_off)
{
	pthread_t thread;

	/* The first pthread_exit() loads what unwinds: not in a handler, says the sanitizer. */
	cr_assert_eq(pthread_create(&thread, NULL, exit_at_once, NULL), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	cr_assert_eq(pthread_create(&thread, NULL, end_by_exit, NULL), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	cr_expect_not(own_end_is_dying());
}

/* Of two threads that abort, only one has marked the end. */
static void *abort_beside(void *arg)
{
	if (sigsetjmp(outside, 1) == 0)
		own_end_act(OOMRECLAIM_POLICY_ABORT);
	return arg;
}

Test(own_end, a_thread_that_did_not_mark_it_calls_nothing_off)
{
	pthread_t thread;

	signal(SIGABRT, jump);
	own_end_mark(OOMRECLAIM_POLICY_ABORT);
	cr_assert_eq(pthread_create(&thread, NULL, abort_beside, NULL), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	cr_expect(own_end_is_dying());
}

/* SIGKILL follows. */
Test(own_end, a_handler_of_kill_signal_that_jumps_calls_nothing_off)
{
	set("kill_signal:USR1,kill_grace_ms:3600000");
	end_and_jump(OOMRECLAIM_POLICY_KILL, SIGUSR1);
	cr_expect(own_end_is_dying());
}

Test(own_end, others_wait_for_sigkill)
{
	own_end_mark(OOMRECLAIM_POLICY_KILL);
	cr_expect(is_near_elsewhere());
}

Test(own_end, others_do_not_wait_for_a_signal_that_is_handled)
{
	set("kill_signal:TERM");
	own_end_mark(OOMRECLAIM_POLICY_KILL);
	cr_expect_not(is_near_elsewhere());
}

static void expect_not_near(void)
{
	_exit(own_end_is_near() ? 1 : 7);
}

Test(own_end, a_child_waits_for_no_end_of_its_parent)
{
	own_end_mark(OOMRECLAIM_POLICY_ABORT);
	expect_exit(expect_not_near, 7);
}

static void act_kill_and_live_on(void)
{
	signal(SIGTERM, SIG_IGN);
	own_end_act(OOMRECLAIM_POLICY_KILL);
	/* It has come back, as it may. What follows comes from the kernel's timer. */
	for (;;)
		pause();
}

Test(own_end, kill_follows_a_signal_that_is_ignored)
{
	set("kill_signal:TERM,kill_grace_ms:1");
	expect_signal(act_kill_and_live_on, SIGKILL);
}

static void act_kill_and_check(void)
{
	signal(SIGTERM, SIG_IGN);
	own_end_act(OOMRECLAIM_POLICY_KILL);
	own_end_check_grace();
	_exit(7);
}

Test(own_end, no_end_before_the_grace_is_over)
{
	set("kill_signal:TERM,kill_grace_ms:3600000");
	expect_exit(act_kill_and_check, 7);
}

static void outlive_grace(void)
{
	fake_clock_freeze();
	signal(SIGTERM, SIG_IGN);
	own_end_act(OOMRECLAIM_POLICY_KILL);
	fake_clock_advance(3600 * NSEC_PER_SEC + 1);
	own_end_check_grace();
}

Test(own_end, the_first_process_of_a_namespace_outlives_sigkill)
{
	set("kill_signal:TERM,kill_grace_ms:3600000");
	expect_exit(outlive_grace, 128 + SIGKILL);
}

static void check_and_live_on(void)
{
	own_end_check_grace();
	_exit(7);
}

static void fork_behind_grace(void)
{
	int status;

	fake_clock_freeze();
	signal(SIGTERM, SIG_IGN);
	own_end_act(OOMRECLAIM_POLICY_KILL);
	fake_clock_advance(3600 * NSEC_PER_SEC + 1);
	status = run_child(check_and_live_on);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

Test(own_end, a_child_has_no_grace_of_its_parent_s)
{
	set("kill_signal:TERM,kill_grace_ms:3600000");
	expect_exit(fork_behind_grace, 7);
}
