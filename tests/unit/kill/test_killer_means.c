/* SPDX-License-Identifier: BSD-2-Clause */
/* Rung 15 where the means are lacking: descriptors, system calls, permissions. Real children are
   killed here, and nobody else. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "config/options.h"
#include "fake_heap.h"
#include "forbid.h"
#include "kill/killer.h"
#include "kill/victim_kill.h"
#include "ladder/ladder.h"
#include "support.h"
#include "system/proc.h"

static struct capture capture;

static void init(void)
{
	support_init();
	proc_root = "";
	cr_assert_eq(options_apply("test", "policy:kill,kill_target:children", &options, NULL), 0);
	capture_begin(&capture);
}

static void fini(void)
{
	capture_end(&capture);
}

TestSuite(killer_means, .init = init, .fini = fini, .timeout = WATCHDOG_SECONDS);

static pid_t start_child(void)
{
	pid_t child = fork();

	if (child < 0)
		abort();
	while (child == 0)
		pause();
	return child;
}

static bool is_killed(pid_t child)
{
	int status;

	return waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGKILL;
}

static void expect_status(void (*function)(void), int expected)
{
	int status = run_child(function);

	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		cr_skip("not allowed to this user");
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == expected, "wait status %#x",
	          (unsigned)status);
}

/* ---- Descriptors ---- */

static void descend_without_descriptors(void)
{
	const struct heap_request request = {.size = 1000};
	const struct rlimit none = {.rlim_cur = STDERR_FILENO + 1, .rlim_max = 64};
	pid_t child = start_child();

	setrlimit(RLIMIT_NOFILE, &none);
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	/* Not an abort: there is somebody, who just can't be found. */
	if (ladder_descend(&request) != NULL || errno != ENOMEM)
		_exit(2);
	if (oomreclaim_kill(NULL) != EIO)
		_exit(3);
	if (waitpid(child, NULL, WNOHANG) != 0)
		_exit(4);
	kill(child, SIGKILL);
}

Test(killer_means, no_descriptors)
{
	expect_status(descend_without_descriptors, 0);
	cr_expect_str_eq(
		capture_next(&capture),
		"oomreclaim: nobody can be chosen to be killed: /proc: Too many open files\n");
}

/* One: enough for the directory, and not for what is in it. */
static void descend_with_one(void)
{
	const struct rlimit one = {.rlim_cur = STDERR_FILENO + 2, .rlim_max = 64};
	pid_t child = start_child();

	closefrom(STDERR_FILENO + 1);
	setrlimit(RLIMIT_NOFILE, &one);
	if (oomreclaim_kill(NULL) != EIO || waitpid(child, NULL, WNOHANG) != 0)
		_exit(2);
	kill(child, SIGKILL);
}

Test(killer_means, one_descriptor)
{
	expect_status(descend_with_one, 0);
}

/* ---- System calls ---- */

static int forbidden_call, forbidden_error;

static void kill_without_a_call(void)
{
	pid_t child = start_child();

	forbid_calls(forbidden_error, forbidden_call);
	if (oomreclaim_kill(NULL) != 0 || !is_killed(child))
		_exit(2);
	if (oomreclaim_kill(NULL) != ESRCH)
		_exit(3);
}

Test(killer_means, no_pidfds)
{
	forbidden_call = SYS_pidfd_open;
	forbidden_error = ENOSYS;
	expect_status(kill_without_a_call, 0);
	forbidden_error = EPERM;
	expect_status(kill_without_a_call, 0);
}

Test(killer_means, pidfds_that_take_no_signal)
{
	forbidden_call = SYS_pidfd_send_signal;
	forbidden_error = ENOSYS;
	expect_status(kill_without_a_call, 0);
}

Test(killer_means, no_reaping)
{
	forbidden_call = 448; /* process_mrelease() */
	forbidden_error = ENOSYS;
	expect_status(kill_without_a_call, 0);
}

/* The signal is refused, though nothing has said that it would be. */
static void kill_in_vain(void)
{
	pid_t child = start_child();

	forbid_calls(EINVAL, SYS_pidfd_send_signal);
	if (oomreclaim_kill(NULL) != ESRCH || waitpid(child, NULL, WNOHANG) != 0)
		_exit(2);
	kill(child, SIGKILL);
}

Test(killer_means, a_signal_that_is_refused)
{
	expect_status(kill_in_vain, 0);
}

/* ---- Who can't be killed ---- */

enum { STRANGERS = VICTIM_SKIPPED + 6, NOBODY = 65534 };

/* They live as long as the other end of the pipe: a signal at their parent's death would be
   refused, too. Until the user has changed, a child is a stranger to that user. */
static pid_t start_as(uid_t user, const int alive[2], const int changed[2])
{
	char nothing;
	pid_t child = fork();

	if (child < 0)
		abort();
	if (child == 0) {
		close(alive[1]);
		if (setuid(user) != 0 || write(changed[1], "y", 1) != 1)
			_exit(2);
		while (read(alive[0], &nothing, 1) < 0)
			;
		_exit(0);
	}
	if (read(changed[0], &nothing, 1) != 1)
		abort();
	return child;
}

/* Another user's, and more of them than are remembered. Of equals the last that is found is chosen:
   those that take the place of others may come before or behind our own in the table. */
static void kill_among_strangers(void)
{
	pid_t strangers[STRANGERS], own;
	int alive[2], changed[2];

	if (geteuid() != 0 || pipe(alive) != 0 || pipe(changed) != 0)
		_exit(77);
	for (int i = 0; i < STRANGERS; i++)
		strangers[i] = start_as(0, alive, changed);
	own = start_as(NOBODY, alive, changed);
	for (int i = 0; i < STRANGERS; i++) {
		kill(strangers[i], SIGKILL);
		waitpid(strangers[i], NULL, 0);
		start_as(0, alive, changed);
	}
	if (setuid(NOBODY) != 0)
		_exit(77);
	if (oomreclaim_kill(NULL) != 0 || !is_killed(own))
		_exit(3);
	/* Where nobody can be chosen it would go on for ever. */
	if (oomreclaim_kill(NULL) != ESRCH)
		_exit(4);
}

Test(killer_means, more_strangers_than_are_remembered)
{
	expect_status(kill_among_strangers, 0);
}

/* ---- Who shares our memory ---- */

/* ThreadSanitizer would be in such a process too, with the state of the thread that made it. */
#ifndef __SANITIZE_THREAD__
static _Alignas(16) char child_stack[64 << 10];

static int wait_for_ever(void *arg)
{
	(void)arg;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
	return 0;
}

Test(killer_means, who_shares_our_memory)
{
	pid_t sharing, child;

	if (syscall(SYS_kcmp, getpid(), getpid(), KCMP_VM, 0, 0) != 0)
		cr_skip("no kcmp() for this user");
	sharing = clone(wait_for_ever, child_stack + sizeof child_stack, CLONE_VM | SIGCHLD, NULL);
	cr_assert_gt(sharing, 0);
	cr_expect_eq(oomreclaim_kill(NULL), ESRCH, "as a child of vfork()");
	child = start_child();
	cr_expect_eq(oomreclaim_kill(NULL), 0);
	cr_expect(is_killed(child));
	cr_expect_eq(waitpid(sharing, NULL, WNOHANG), 0, "it lives");
	kill(sharing, SIGKILL);
	cr_expect(is_killed(sharing));
}
#endif

/* ---- A main thread that has ended ---- */

static void *pause_in_thread(void *arg)
{
	int *ready = arg;

	if (write(ready[1], "y", 1) != 1)
		_exit(2);
	for (;;)
		pause();
	return NULL;
}

Test(killer_means, a_process_without_its_main_thread)
{
	int ready[2];
	pthread_t thread;
	struct proc_pid process = {.state = '?'};
	char answer;
	pid_t child;

	cr_assert_eq(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		if (pthread_create(&thread, NULL, pause_in_thread, ready) != 0)
			_exit(2);
		pthread_exit(NULL);
	}
	cr_assert_eq(read(ready[0], &answer, 1), 1);
	while (process.state != 'Z')
		cr_assert_eq(proc_pid_read(child, &process), 0);
	cr_expect_eq(oomreclaim_kill(NULL), 0);
	cr_expect(is_killed(child));
}
