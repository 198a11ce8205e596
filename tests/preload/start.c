/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages that a process does not touch before it has to. They are counted without huge pages, so
 * the program starts itself once more without them.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "je.h"
#include "oomreclaim.h"

static long faults(void)
{
	struct rusage usage;

	CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
	return usage.ru_minflt;
}

/* A new arena touches at most two thirds of its records: lists of free extents are zeroes. */
static void arena(void)
{
	size_t before, after, length = sizeof(before), mib_length = 4, mib[4];
	unsigned made, made_before;
	uint64_t epoch = 1;
	long touched;

	/* The first arena touches what all share. */
	JE_READ("arenas.create", &made_before);
	CHECK(mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)) == 0);
	CHECK(mallctlnametomib("stats.arenas.0.base", mib, &mib_length) == 0);
	mib[2] = made_before;
	CHECK(mallctlbymib(mib, mib_length, &before, &length, NULL, 0) == 0);
	touched = faults();
	JE_READ("arenas.create", &made);
	touched = faults() - touched;
	CHECK(mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)) == 0);
	mib[2] = made;
	CHECK(mallctlbymib(mib, mib_length, &after, &length, NULL, 0) == 0);
	CHECK(after > 0 && touched < (long)(after / 4096) * 2 / 3);
}

/* Not RssAnon: the kernel brings that up to date in strides. */
static size_t anonymous_kib(void)
{
	char text[4096];
	int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	ssize_t bytes = read(fd, text, sizeof(text) - 1);
	const char *line;

	CHECK(bytes > 0);
	close(fd);
	text[bytes] = '\0';
	line = strstr(text, "Anonymous:");
	CHECK(line);
	return strtoul(line + strlen("Anonymous:"), NULL, 10);
}

/* The control interface touches its pages at its first use, not before. Run with 50 arenas: the
   interface has a record of some pages for each. */
static void control(void)
{
	size_t before = anonymous_kib(), arenas = 50;
	uint64_t epoch = 1;

	CHECK(mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)) == 0);
	CHECK(anonymous_kib() >= before + arenas * 4);
}

/* The control interface maps nothing at its first use. Run under a limit, with 200 arenas. */
static void control_late(void)
{
	uint64_t epoch = 1;
	unsigned arenas;

	space_fill();
	CHECK(mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)) == 0);
	JE_READ("arenas.narenas", &arenas);
	CHECK(arenas > 200);
}

/* Run with a library that uses the control interface before oomreclaim is set up. */
static void early_control(void)
{
	unsigned arenas, usual;

	/* Makes the reserve's arena. */
	CHECK(oomreclaim_register("none", 0, 0, check_give_nothing, NULL, NULL) == 0);
	JE_READ("arenas.narenas", &arenas);
	JE_READ("opt.narenas", &usual);
	/* The other one is for huge blocks. */
	CHECK_EQ(arenas, usual + 2);
}

/* Of a child that does nothing. */
static long faults_of_fork(void)
{
	int ends[2];
	long count;
	pid_t child;

	CHECK(pipe(ends) == 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		count = faults();
		_exit(write(ends[1], &count, sizeof count) != sizeof count);
	}
	CHECK_EQ(check_child(child), 0);
	CHECK(read(ends[0], &count, sizeof count) == sizeof count);
	close(ends[0]);
	close(ends[1]);
	return count;
}

/* fork() takes the locks of each arena, and so copies a page for each page of these. Without a
   callback there is no arena for the reserve. */
static void in_fork(void)
{
	pthread_t thread;
	long before;

	CHECK(pthread_create(&thread, NULL, check_sleep, NULL) == 0);
	faults_of_fork();
	before = faults_of_fork();
	CHECK(oomreclaim_register("none", 0, 0, check_give_nothing, NULL, NULL) == 0);
	CHECK(faults_of_fork() >= before + 5);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {{"arena", arena},
	                                          {"control", control},
	                                          {"control-late", control_late},
	                                          {"early-control", early_control},
	                                          {"in-fork", in_fork}};

	if (prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 0) {
		CHECK(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
		execv("/proc/self/exe", argv);
		return 127;
	}
	return check_main(argc, argv, cases, COUNT(cases));
}
