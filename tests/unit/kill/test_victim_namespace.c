/* SPDX-License-Identifier: BSD-2-Clause */
/* Rung 14 in a pid namespace: whose numbers /proc has. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/options.h"
#include "kill/victim_kill.h"
#include "support.h"
#include "system/proc.h"

TestSuite(victim_namespace, .timeout = WATCHDOG_SECONDS, .init = support_init);

/* /proc is left as it was: its numbers are other processes' here. */
static void stay_blind(void)
{
	struct victim_domain domain;
	struct proc_cgroup group;
	struct proc_pid chosen;
	pid_t child;

	proc_root = "";
	options.kill_target = KILL_CHILDREN;
	options.is_kill_group = true;
	victim_domain_find(&domain, false);
	if (domain.proc_error != -EXDEV)
		_exit(3);
	child = fork();
	while (child == 0)
		pause();
	if (victim_select(&domain, &chosen) != -EXDEV)
		_exit(4);
	if (victim_group(&domain, getpid(), &group))
		_exit(5);
	if (oomreclaim_kill(NULL) != EIO)
		_exit(6);
	if (waitpid(child, NULL, WNOHANG) != 0)
		_exit(7);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	_exit(0);
}

/* Led from outside of the namespace, a process group has no number that tells it from others. */
static void be_init(void)
{
	struct victim_domain domain;

	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("proc", "/proc", "proc", 0, NULL) != 0)
		_exit(2);
	proc_root = "";
	options.kill_target = KILL_PGROUP;
	victim_domain_find(&domain, false);
	if (domain.proc_error != 0 || domain.pgrp != 0 || domain.target != KILL_SELF)
		_exit(3);
	/* By hand it is nobody's to kill: not even its own. */
	if (oomreclaim_kill(NULL) != ESRCH)
		_exit(4);
	options.kill_target = KILL_SELF;
	if (oomreclaim_kill(NULL) != ESRCH)
		_exit(5);
	_exit(0);
}

static void expect_in_namespace(void (*function)(void))
{
	int status = run_in_pid_namespace(function);

	if (status == 77)
		cr_skip("no pid namespace for this user");
	cr_expect_eq(status, 0);
}

Test(victim_namespace, numbers_of_another)
{
	expect_in_namespace(stay_blind);
}

Test(victim_namespace, the_first_process)
{
	expect_in_namespace(be_init);
}
