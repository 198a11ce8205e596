/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of a process, and who may put it off: run with policy:kill and RLIMIT_AS. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim.h"

enum { THREADS = 64, STACK_BYTES = 64 << 10, RECORD_BYTES = 16 << 10 };

static struct pool pool;
static void *volatile kept;

static void fail_once(void)
{
	while (malloc(4 * KIB))
		;
}

/* Rung 9: NULL, as often as it is switched off, and no longer. */
static void disabled(void)
{
	CHECK(oomreclaim_kill_disable(1000) && oomreclaim_kill_disable(1000));
	fail_once();
	CHECK_EQ(oomreclaim_kill("while disabled"), EPERM);
	CHECK_EQ(oomreclaim_kill_enable(), 0);
	fail_once();
	CHECK_EQ(oomreclaim_kill_enable(), 0);
	CHECK_EQ(oomreclaim_kill_enable(), EINVAL);
	fail_once();
	CHECK(!"killed");
}

static pthread_barrier_t step;

static void *fail_together(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&step);
	fail_once();
	return NULL;
}

/* One kill, one report: the launcher counts the lines. */
static void crowd(void)
{
	pthread_t thread;
	pthread_attr_t attr;

	CHECK(pthread_attr_init(&attr) == 0);
	CHECK(pthread_attr_setstacksize(&attr, STACK_BYTES) == 0);
	CHECK(pthread_barrier_init(&step, NULL, THREADS + 1) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread, &attr, fail_together, NULL) == 0);
	CHECK(oomreclaim_kill_disable(1000));
	pool_fill(&pool, 64 * KIB);
	CHECK_EQ(oomreclaim_kill_enable(), 0);
	pthread_barrier_wait(&step);
	for (;;)
		pause();
}

static void on_term(int number)
{
	/* The last piece of work needs memory, and gets it. */
	char *record = malloc(RECORD_BYTES);

	(void)number;
	CHECK(record);
	memset(record, 'r', RECORD_BYTES);
	CHECK(write(STDOUT_FILENO, record, 0) == 0);
	_exit(7);
}

static void graceful(void)
{
	CHECK(signal(SIGTERM, on_term) != SIG_ERR);
	fail_once();
	for (;;)
		pause();
}

/* By a thread that waits for the signal: nothing interrupts the others. */
static void *wait_for_term(void *arg)
{
	int number;

	pthread_barrier_wait(&step);
	CHECK(sigwait(arg, &number) == 0);
	on_term(number);
	return NULL;
}

static uint64_t kills(void)
{
	struct oomreclaim_stats stats;

	CHECK_EQ(oomreclaim_stats_get(&stats, sizeof stats), 0);
	return stats.kills;
}

static void waiting(void)
{
	pthread_t thread;
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	CHECK(pthread_barrier_init(&step, NULL, 2) == 0);
	CHECK(pthread_create(&thread, NULL, wait_for_term, &term) == 0);
	pthread_barrier_wait(&step);
	/* The thread above has to find some of the reserve left: what a victim allocates is from
	   it. */
	while (kills() == 0)
		kept = malloc(16 * KIB);
	for (;;)
		pause();
}

static void ignoring(void)
{
	CHECK(signal(SIGTERM, SIG_IGN) != SIG_ERR);
	fail_once();
	for (;;)
		pause();
}

/* By hand: whatever the policy, whatever there is left. */
static void by_hand(void)
{
	oomreclaim_kill("Told to");
	CHECK(!"killed");
}

static void by_hand_children(void)
{
	int status;
	pid_t pid;

	CHECK_EQ(oomreclaim_kill(NULL), ESRCH);
	pid = fork();
	if (!pid)
		for (;;)
			pause();
	CHECK_EQ(oomreclaim_kill(NULL), 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"disabled", disabled},
		{"crowd", crowd},
		{"graceful", graceful},
		{"waiting", waiting},
		{"ignoring", ignoring},
		{"by-hand", by_hand},
		{"by-hand-children", by_hand_children},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
