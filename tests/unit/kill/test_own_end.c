/* SPDX-License-Identifier: BSD-2-Clause */
/* Rungs 12 and 13: what the policy does. */
#include <criterion/criterion.h>
#include <pthread.h>
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
