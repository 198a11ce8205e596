/* SPDX-License-Identifier: BSD-2-Clause */
/* Killing where the kernel has no pidfds (before 5.3), or its sandbox does not let them through. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "config/options.h"
#include "forbid.h"
#include "kill/victim_kill.h"
#include "support.h"
#include "system/proc.h"

static struct victim_domain domain;

static void init(void)
{
	support_init();
	proc_root = "";
}

TestSuite(old_kernel, .init = init, .timeout = WATCHDOG_SECONDS);

static const int pidfds[] = {SYS_pidfd_open, SYS_pidfd_send_signal, SYS_process_mrelease, SYS_kcmp};

static void set(const char *conf)
{
	cr_assert_eq(options_apply("test", conf, &options, NULL), 0, "%s", conf);
	victim_domain_find(&domain, false);
}

/* A child that does with SIGTERM what `action` says, and is ready for it. */
static struct proc_pid start(void (*action)(int))
{
	struct proc_pid process;
	int ready[2];
	char byte;
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		signal(SIGTERM, action);
		(void)!write(ready[1], "", 1);
		for (;;)
			pause();
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	cr_assert_eq(proc_pid_read(pid, &process), 0);
	return process;
}

static int kill_it(const struct proc_pid *process)
{
	int error;

	errno = ERRNO_UNTOUCHED;
	error = victim_kill(&domain, process, NULL);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	return error;
}

static void expect_signal(const struct proc_pid *process, int number)
{
	int status;

	cr_assert_eq(waitpid(process->pid, &status, 0), process->pid);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == number, "status %#x",
	          (unsigned)status);
}

/* Without those system calls the child is killed all the same, and goes by that signal. */
static void expect_killed(const char *conf, void (*action)(int), const int *numbers, size_t count,
                          int number)
{
	struct proc_pid process;

	set(conf);
	process = start(action);
	forbid(ENOSYS, numbers, count);
	cr_expect_eq(kill_it(&process), 0);
	expect_signal(&process, number);
}

Test(old_kernel, killed_at_once)
{
	expect_killed("kill_target:children", SIG_DFL, pidfds, ARRAY_SIZE(pidfds), SIGKILL);
}

Test(old_kernel, goes_when_told_to)
{
	expect_killed("kill_target:children,kill_signal:TERM,kill_grace_ms:30000", SIG_DFL, pidfds,
	              ARRAY_SIZE(pidfds), SIGTERM);
}

Test(old_kernel, does_not_go_when_told_to)
{
	expect_killed("kill_target:children,kill_signal:TERM,kill_grace_ms:50", SIG_IGN, pidfds,
	              ARRAY_SIZE(pidfds), SIGKILL);
}

/* The number is somebody else's meanwhile: the check before the kill is all there is. */
Test(old_kernel, another_process)
{
	struct proc_pid process;
	int status;

	set("kill_target:children");
	process = start(SIG_DFL);
	process.start_time++;
	forbid(ENOSYS, pidfds, ARRAY_SIZE(pidfds));
	cr_expect_eq(kill_it(&process), -ESRCH);
	cr_expect_eq(waitpid(process.pid, &status, WNOHANG), 0);
	kill(process.pid, SIGKILL);
	expect_signal(&process, SIGKILL);
	cr_expect_eq(kill_it(&process), -ESRCH);
}

/* A pidfd, but no signal by it. */
Test(old_kernel, half_of_it)
{
	expect_killed("kill_target:children", SIG_DFL, &pidfds[1], 1, SIGKILL);
}
