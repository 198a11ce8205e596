/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Groups that go as a whole. The processes are real, and children of the test; the groups are made
 * up: nobody else is in the table.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "budget_set.h"
#include "config/options.h"
#include "fake_heap.h"
#include "kill/killer.h"
#include "kill/own_end.h"
#include "kill/policy.h"
#include "kill/victim_kill.h"
#include "limits/budget.h"
#include "support.h"

static struct capture capture;

static void set(const char *conf)
{
	cr_assert_eq(options_apply("test", conf, &options, NULL), 0);
}

/* The kernel's files of the process, but for the group and the one that takes a privilege to
   set. */
static void show(pid_t pid, const char *group, int adj)
{
	static const char *const files[] = {"status", "stat"};
	char path[64], link[512], target[64], text[64];

	snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
	snprintf(text, sizeof text, "0::%s\n", group);
	fake_proc_write(path, text);
	snprintf(path, sizeof path, "/proc/%d/oom_score_adj", pid);
	snprintf(text, sizeof text, "%d\n", adj);
	fake_proc_write(path, text);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof path, "/proc/%d/%s", pid, files[i]);
		fake_proc_path(link, sizeof link, path);
		snprintf(target, sizeof target, "/proc/%d/%s", pid, files[i]);
		if (symlink(target, link) != 0)
			abort();
	}
}

static void init(void)
{
	char path[512];

	support_init();
	fake_proc_begin();
	/* What oom_score_adj is a part of. */
	fake_proc_write("/proc/meminfo", "MemTotal: 4000000 kB\nSwapTotal: 0 kB\n");
	fake_proc_write("/proc/self/mountinfo", "29 1 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
	fake_proc_write("/proc/self/cgroup", "0::/own\n");
	fake_proc_path(path, sizeof path, "/proc/self/status");
	cr_assert_eq(symlink("/proc/self/status", path), 0);
	fake_proc_write("/cg/own/below/memory.oom.group", "1\n");
	set("kill_target:children");
	capture_begin(&capture);
}

static void fini(void)
{
	capture_end(&capture);
	fake_proc_end();
}

TestSuite(victim_group, .init = init, .fini = fini, .timeout = WATCHDOG_SECONDS);

static void ignore(int number)
{
	(void)number;
}

/* Saves its work for a while, and ends. */
static void finish(int number)
{
	const struct timespec work = {.tv_nsec = 300 * 1000 * 1000};

	(void)number;
	nanosleep(&work, NULL);
	_exit(7);
}

static pid_t start_child(const char *group, int adj, void (*on_term)(int))
{
	pid_t child;

	/* Before the fork, so that it holds from the first moment. */
	signal(SIGTERM, on_term);
	child = fork();
	if (child < 0)
		abort();
	while (child == 0)
		pause();
	signal(SIGTERM, SIG_DFL);
	show(child, group, adj);
	return child;
}

static int status_of(pid_t child)
{
	int status;

	cr_assert_eq(waitpid(child, &status, 0), child);
	return status;
}

static void expect_killed(pid_t child, int number)
{
	int status = status_of(child);

	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == number, "wait status %#x",
	          (unsigned)status);
}

static void expect_lives(pid_t child)
{
	cr_expect_eq(waitpid(child, NULL, WNOHANG), 0, "it lives");
	kill(child, SIGKILL);
	expect_killed(child, SIGKILL);
}

static bool is_reported(const char *line)
{
	return strstr(capture_next(&capture), line) != NULL;
}

/* ---- Which group ---- */

static void expect_group(const struct victim_domain *domain, pid_t pid, const char *path)
{
	struct proc_cgroup group = {.path = "none"};

	cr_expect_eq(victim_group(domain, pid, &group), strcmp(path, "none") != 0);
	if (strcmp(path, "none") != 0)
		cr_expect_str_eq(group.path, path);
}

Test(victim_group, the_highest_that_asks_for_it)
{
	struct victim_domain domain;

	victim_domain_find(&domain, false);
	fake_proc_write("/proc/77/cgroup", "0::/own/below/app\n");
	expect_group(&domain, 77, "/own/below");
	fake_proc_write("/cg/own/below/app/memory.oom.group", "1\n");
	expect_group(&domain, 77, "/own/below");
	fake_proc_write("/cg/own/below/memory.oom.group", "0\n");
	expect_group(&domain, 77, "/own/below/app");
	fake_proc_write("/cg/memory.oom.group", "1\n");
	expect_group(&domain, 77, "");
	/* But not above the one whose limit it was. */
	domain.has_group = true;
	domain.group = (struct proc_cgroup){.is_v2 = true, .mount = "/cg", .path = "/own/below"};
	expect_group(&domain, 77, "/own/below/app");
	fake_proc_write("/proc/77/cgroup", "0::/elsewhere\n");
	domain.has_group = false;
	fake_proc_write("/cg/memory.oom.group", "0\n");
	expect_group(&domain, 77, "none");
	expect_group(&domain, 78, "none");
}

Test(victim_group, kill_group_is_the_victim_s_own)
{
	struct victim_domain domain;

	set("kill_group:true");
	victim_domain_find(&domain, false);
	fake_proc_write("/proc/77/cgroup", "0::/own/below/app\n");
	expect_group(&domain, 77, "/own/below/app");
	fake_proc_write("/proc/77/cgroup", "0::/\n");
	expect_group(&domain, 77, "none");
}

/* ---- Who goes ---- */

Test(victim_group, all_of_it_and_nobody_else)
{
	pid_t beside = start_child("/own/beside", 0, SIG_DFL);
	pid_t above = start_child("/own", 0, SIG_DFL);
	pid_t spared = start_child("/own/below", -1000, SIG_DFL);
	pid_t companion = start_child("/own/below/deeper", 0, SIG_DFL);
	pid_t worst = start_child("/own/below", 500, SIG_DFL);

	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(oomreclaim_kill(NULL), 0);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	expect_killed(worst, SIGKILL);
	expect_killed(companion, SIGKILL);
	expect_lives(spared);
	expect_lives(beside);
	expect_lives(above);
	cr_expect_not(own_end_is_dying());
	cr_expect(
		is_reported("\nTasks in /own/below are going to be killed due to memory.oom.group "
	                    "set\n"));
}

Test(victim_group, each_has_its_grace)
{
	pid_t slow = start_child("/own/below", 0, finish);
	pid_t worst = start_child("/own/below", 500, SIG_DFL);
	int status;

	set("kill_signal:TERM,kill_grace_ms:3600000");
	cr_expect_eq(oomreclaim_kill(NULL), 0);
	expect_killed(worst, SIGTERM);
	status = status_of(slow);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 7, "wait status %#x",
	          (unsigned)status);
}

Test(victim_group, and_no_more)
{
	pid_t deaf = start_child("/own/below", 0, SIG_IGN);
	pid_t worst = start_child("/own/below", 500, SIG_DFL);

	set("kill_signal:TERM,kill_grace_ms:50");
	cr_expect_eq(oomreclaim_kill(NULL), 0);
	expect_killed(worst, SIGTERM);
	expect_killed(deaf, SIGKILL);
}

/* ---- This very process ---- */

/* In a child that has one of its own, in a group with it. Of what it is asked to do it leaves by
   the signal that it gets in the end, or by a status. */
static void (*own_on_term)(int) = SIG_DFL;

static void kill_with_own_group(void)
{
	pid_t child;
	int status;

	fake_proc_write("/cg/own/memory.oom.group", "1\n");
	show(getpid(), "/own", 0);
	child = start_child("/own", 500, SIG_IGN);
	signal(SIGTERM, own_on_term);
	oomreclaim_kill(NULL);
	if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
		_exit(7);
	/* The handler has been here. */
	_exit(own_end_is_dying() ? 9 : 8);
}

Test(victim_group, with_this_process)
{
	int status = run_child(kill_with_own_group);

	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "wait status %#x",
	          (unsigned)status);
	cr_expect(is_reported(
		"\nTasks in /own are going to be killed due to memory.oom.group set\n"));
	cr_expect_not(is_reported("Killed"), "one report");
}

Test(victim_group, with_this_process_which_is_a_victim)
{
	int status;

	own_on_term = ignore;
	set("kill_signal:TERM,kill_grace_ms:50");
	status = run_child(kill_with_own_group);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 9, "wait status %#x",
	          (unsigned)status);
}

static void kill_self_with_companions(void)
{
	pid_t companion;
	int status;

	/* A limit of this process alone is met. A kill by hand takes the group all the same. */
	budget_take(65537);
	budget_set_limit(65536);
	fake_proc_write("/cg/own/memory.oom.group", "1\n");
	show(getpid(), "/own", 0);
	companion = start_child("/own", 0, SIG_IGN);
	signal(SIGTERM, ignore);
	oomreclaim_kill(NULL);
	if (waitpid(companion, &status, 0) != companion || !WIFSIGNALED(status))
		_exit(7);
	_exit(own_end_is_dying() ? 9 : 8);
}

Test(victim_group, of_this_process)
{
	int status;

	set("kill_target:self,kill_signal:TERM,kill_grace_ms:50");
	status = run_child(kill_self_with_companions);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 9, "wait status %#x",
	          (unsigned)status);
	cr_expect(is_reported(
		"\nTasks in /own are going to be killed due to memory.oom.group set\n"));
}

/* ---- A limit of this process alone ---- */

/* Is the companion of this process gone, once the policy has killed it for such a limit? */
static bool takes_companion(enum constraint constraint)
{
	const struct heap_request request = {.size = 1000};
	const struct oom_control control = {.request = &request, .constraint = constraint};
	enum oomreclaim_policy policy = OOMRECLAIM_POLICY_KILL;
	void *memory = NULL;
	pid_t companion;
	bool is_gone;

	show(getpid(), "/own", 0);
	companion = start_child("/own", 0, SIG_DFL);
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	if (killer_act(&control, &policy, &memory) != KILLER_END)
		abort();
	/* It was signalled before, or not at all. */
	kill(companion, SIGUSR1);
	is_gone = WTERMSIG(status_of(companion)) == SIGKILL;
	return is_gone;
}

Test(victim_group, nobody_goes_for_a_limit_of_another_process)
{
	set("kill_target:self,kill_group:true");
	cr_expect_not(takes_companion(CONSTRAINT_BUDGET));
	cr_expect_not(is_reported("Tasks in"));
}

Test(victim_group, nor_where_the_group_asks_for_it)
{
	fake_proc_write("/cg/own/memory.oom.group", "1\n");
	set("kill_target:self");
	cr_expect_not(takes_companion(CONSTRAINT_RLIMIT_AS));
}

Test(victim_group, all_go_for_a_limit_of_the_group)
{
	set("kill_target:self,kill_group:true");
	cr_expect(takes_companion(CONSTRAINT_CGROUP));
	cr_expect(is_reported("\nTasks in /own are going to be killed due to kill_group set\n"));
}
