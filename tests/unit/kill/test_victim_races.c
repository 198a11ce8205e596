/* SPDX-License-Identifier: BSD-2-Clause */
/* Victims that exit between being looked at, being chosen and being killed: never another
   process. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kill/victim_kill.h"
#include "support.h"
#include "system/proc.h"

/* A fork costs many times as much there. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(COVERAGE)
#define RUNS 1000
#else
#define RUNS 10000
#endif

enum { INNOCENTS = 4 };

TestSuite(victim_races, .timeout = 300, .init = support_init);

static char root[] = "/tmp/oomreclaim.races.XXXXXX";

/* Only the processes of this test are in the table: ten thousand walks through all of a machine's
   would take minutes. The files are the kernel's own. */
static void show(pid_t pid)
{
	char from[64], to[64];

	snprintf(from, sizeof from, "/proc/%d", pid);
	snprintf(to, sizeof to, "%s/proc/%d", root, pid);
	cr_assert(symlink(from, to) == 0);
}

static void hide(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof path, "%s/proc/%d", root, pid);
	unlink(path);
}

/* What becomes of the victim: the first three are certain on any machine, the rest is the race. */
enum fate { STAYS, GONE_BEFORE, GONE_WHEN_CHOSEN, RACES, FATES = 8 };

static pid_t start(enum fate fate, unsigned lives)
{
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0) {
		if (fate == STAYS || fate == GONE_WHEN_CHOSEN)
			for (;;)
				pause();
		for (volatile unsigned i = 0; fate != GONE_BEFORE && i < lives; i++)
			;
		_exit(0);
	}
	if (fate == GONE_BEFORE)
		cr_assert(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
	return pid;
}

static void end(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	cr_assert(waitpid(pid, &status, 0) == pid);
}

/* A process whose children are not ours: not eligible, and next to the victims by number. */
static pid_t start_innocents(void)
{
	pid_t parent = fork();
	int status, dead = 0;
	sigset_t term;

	if (parent != 0)
		return parent;
	setpgid(0, 0);
	for (int i = 0; i < INNOCENTS; i++)
		if (fork() == 0)
			for (;;)
				pause();
	/* Told to, it counts those that have died, and ends the others. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	sigwaitinfo(&term, NULL);
	while (waitpid(-1, &status, WNOHANG) > 0)
		dead++;
	signal(SIGUSR1, SIG_IGN);
	kill(0, SIGUSR1);
	_exit(dead);
}

Test(victim_races, ten_thousand_that_exit_meanwhile)
{
	struct victim_domain domain;
	struct proc_pid chosen;
	char proc[64];
	pid_t innocents;
	int status, killed = 0;

	cr_assert(mkdtemp(root) != NULL);
	snprintf(proc, sizeof proc, "%s/proc", root);
	cr_assert(mkdir(proc, 0700) == 0);
	setpgid(0, 0);
	innocents = start_innocents();
	options.kill_target = KILL_CHILDREN;
	proc_root = "";
	victim_domain_find(&domain, false);
	proc_root = root;
	srandom(1);
	for (int i = 0; i < RUNS; i++) {
		enum fate fate = (enum fate)(i % FATES);
		pid_t pid = start(fate, (unsigned)random() % 20000);
		bool is_chosen, is_killed;

		show(pid);
		is_chosen = victim_select(&domain, &chosen) == 0;
		cr_assert(!is_chosen || chosen.pid == pid);
		if (fate == GONE_WHEN_CHOSEN)
			end(pid);
		is_killed = is_chosen && victim_kill(&domain, &chosen, NULL) == 0;
		if (is_killed)
			killed++;
		cr_assert(fate != STAYS || is_killed);
		cr_assert(fate != GONE_BEFORE || !is_chosen);
		cr_assert(fate != GONE_WHEN_CHOSEN || (is_chosen && !is_killed));
		hide(pid);
		if (fate != GONE_WHEN_CHOSEN)
			end(pid);
	}
	proc_root = "";
	cr_assert(killed >= RUNS / FATES && killed <= RUNS - 2 * (RUNS / FATES), "%d killed",
	          killed);
	kill(innocents, SIGTERM);
	cr_assert(waitpid(innocents, &status, 0) == innocents);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	rmdir(proc);
	rmdir(root);
}

/* ---- A number that is somebody else's by now ---- */

/* Lets the next process have the number after `last`. */
static bool set_last_pid(pid_t last)
{
	FILE *file = fopen("/proc/sys/kernel/ns_last_pid", "w");
	bool is_set = file != NULL && fprintf(file, "%d", last) > 0;

	return file != NULL && fclose(file) == 0 && is_set;
}

/* The first process of a pid namespace, where nobody else takes numbers. Status 0: all is well. */
static void reuse(void)
{
	struct timespec tick = {.tv_nsec = 50 * 1000 * 1000};
	struct victim_domain domain;
	struct proc_pid chosen;
	pid_t victim, other;

	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("proc", "/proc", "proc", 0, NULL) != 0)
		_exit(2);
	proc_root = "";
	options.kill_target = KILL_CHILDREN;
	victim_domain_find(&domain, false);
	victim = start(STAYS, 0);
	if (victim_select(&domain, &chosen) != 0 || chosen.pid != victim)
		_exit(3);
	end(victim);
	/* The start time, by which they differ, counts hundredths of a second. */
	nanosleep(&tick, NULL);
	if (!set_last_pid(victim - 1))
		_exit(4);
	other = start(STAYS, 0);
	if (other != victim)
		_exit(5);
	if (victim_kill(&domain, &chosen, NULL) != -ESRCH)
		_exit(6);
	if (waitpid(other, NULL, WNOHANG) != 0)
		_exit(7);
	end(other);
	_exit(0);
}

Test(victim_races, a_number_used_again)
{
	int status = run_in_pid_namespace(reuse);

	if (status == 77)
		cr_skip("no pid namespace for this user");
	cr_expect_eq(status, 0);
}
