/* SPDX-License-Identifier: BSD-2-Clause */
/* Who dies in a memory cgroup that is full: victims.sh runs these cases in one, $GROUP. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim.h"

enum { BLOCK = 1 << 20, THREADS = 64 };

/* Touched, and never given back: what is only mapped is not counted by a cgroup. */
static bool take(unsigned mib)
{
	for (; mib > 0; mib--) {
		void *block = malloc(BLOCK);

		if (!block)
			return false;
		memset(block, 1, BLOCK);
	}
	return true;
}

static void join_group(const char *name)
{
	char path[512];
	int file;

	snprintf(path, sizeof path, "%s/%s/cgroup.procs", getenv("GROUP"), name);
	file = open(path, O_WRONLY);
	CHECK(file >= 0 && write(file, "0", 1) == 1);
	close(file);
}

/* Returns when the child has its memory. */
static pid_t start(unsigned mib, const char *group)
{
	char answer = 0;
	int ready[2];
	pid_t pid;

	CHECK(pipe(ready) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		if (group)
			join_group(group);
		CHECK(take(mib));
		CHECK(write(ready[1], "y", 1) == 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	CHECK(read(ready[0], &answer, 1) == 1);
	close(ready[0]);
	return pid;
}

static bool is_killed(pid_t pid)
{
	int status;
	pid_t found = waitpid(pid, &status, WNOHANG);

	CHECK(found >= 0);
	CHECK(found == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
	return found == pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, NULL, 0) == pid);
}

static pthread_barrier_t all_ready;

static void *take_one(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&all_ready);
	CHECK(take(1));
	return NULL;
}

/* All fail at once: one is killed for all of them. */
static void crowd(void)
{
	pthread_t threads[THREADS];
	pid_t worst = start(100, NULL), others[] = {start(30, NULL), start(30, NULL)};

	CHECK(pthread_barrier_init(&all_ready, NULL, THREADS) == 0);
	/* As far as it goes without: what is left is less than the threads want. */
	CHECK(take(20));
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, take_one, NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(is_killed(worst));
	for (size_t i = 0; i < COUNT(others); i++) {
		CHECK(!is_killed(others[i]));
		stop(others[i]);
	}
}

/* kill_group: those of the victim's own group go with it, and nobody else. */
static void group(void)
{
	pid_t worst = start(100, "below"), companion = start(5, "below");
	pid_t other = start(60, "beside");

	CHECK(take(80));
	CHECK(is_killed(worst));
	/* It was signalled before the parent went on, but nobody waited for it. */
	CHECK(waitpid(companion, NULL, 0) == companion);
	CHECK(!is_killed(other));
	stop(other);
}

/* Rung 9: NULL, though somebody's death would help. */
static void disabled(void)
{
	pid_t child = start(100, NULL);

	CHECK(oomreclaim_kill_disable(1000));
	errno = 0;
	CHECK(!take(200));
	CHECK_EQ(errno, ENOMEM);
	CHECK(!is_killed(child));
	stop(child);
}

/* In a container, which sees its own group as the root: those of it, and nobody else. $OUTSIDE
   takes a process out of it. */
static void container(void)
{
	pid_t outside = start(100, NULL), worst;
	int file = open(getenv("OUTSIDE"), O_WRONLY);

	CHECK(file >= 0 && dprintf(file, "%d", outside) > 0);
	close(file);
	worst = start(90, NULL);
	CHECK(take(60));
	CHECK(is_killed(worst));
	CHECK(!is_killed(outside));
	stop(outside);
}

/* Another user's process is the worst, and not to be had: the next one dies. */
static void stranger(void)
{
	pid_t child = start(90, NULL);

	CHECK(take(70));
	CHECK(is_killed(child));
}

static void sleeper(void)
{
	CHECK(take(100));
	CHECK(write(STDOUT_FILENO, "y", 1) == 1);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"crowd", crowd},         {"group", group},       {"disabled", disabled},
		{"container", container}, {"stranger", stranger}, {"sleeper", sleeper},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
