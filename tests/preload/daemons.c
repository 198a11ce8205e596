/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs that close every descriptor, as daemons do, and open files of their own: descriptor 2 is
 * one of them. Whatever the library has to say then, none of it is in these files.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim.h"

enum { FILES = 8, THREADS = 2 };

static char directory[] = "/tmp/oomreclaim-daemons-XXXXXX";

static const char *file_path(int number)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%d", directory, number);
	return path;
}

static bool is_open(int fd, int number)
{
	struct stat by_fd, by_path;

	return fstat(fd, &by_fd) == 0 && stat(file_path(number), &by_path) == 0 &&
	       by_fd.st_ino == by_path.st_ino;
}

/* The status tells what went wrong, as there is no stderr. */
static void become_daemon(unsigned wait_us)
{
	int fds[FILES];

	if (close_range(0, ~0U, 0) != 0)
		_exit(2);
	for (int i = 0; i < FILES; i++) {
		fds[i] = open(file_path(i), O_RDWR | O_CREAT | O_APPEND, 0600);
		if (fds[i] < 0)
			_exit(3);
	}
	usleep(wait_us);
	for (int i = 0; i < FILES; i++)
		if (!is_open(fds[i], i))
			_exit(4);
}

static void check_files(void)
{
	struct stat file;

	for (int i = 0; i < FILES; i++) {
		CHECK(stat(file_path(i), &file) == 0);
		CHECK_EQ(file.st_size, 0);
		unlink(file_path(i));
	}
}

static void repeat(void (*become)(void), int rounds)
{
	CHECK(mkdtemp(directory));
	for (int i = 0; i < rounds; i++) {
		pid_t pid = fork();

		if (!pid) {
			srand((unsigned)i);
			become();
			_exit(0);
		}
		CHECK_EQ(check_child(pid), 0);
		check_files();
	}
	rmdir(directory);
}

/* oomreclaimd finds its descriptors gone. */
static void become_watched(void)
{
	CHECK(oomreclaim_register("nothing", 0, 0, check_give_nothing, NULL, NULL) == 0);
	for (int i = 0; i < 10; i++) {
		void *volatile block = malloc(3 * MIB);

		(void)block;
	}
	usleep(3000);
	become_daemon(20000);
}

static __attribute__((noreturn)) void *fail(void *arg)
{
	(void)arg;
	for (;;) {
		void *volatile block = malloc(64 * MIB);

		(void)block;
	}
}

/* Threads that fail, each time with a line or a report. */
static void become_failing(void)
{
	pthread_t thread;

	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread, NULL, fail, NULL) == 0);
	usleep((unsigned)rand() % 3000);
	become_daemon(3000);
}

static int rounds;

static void watched(void)
{
	repeat(become_watched, rounds);
}

/* The same with a source of pressure, which nothing happens to. */
static void with_source(void)
{
	char fifo[] = "/tmp/oomreclaim-source-XXXXXX", conf[128];

	CHECK(mkdtemp(fifo));
	snprintf(conf, sizeof conf, "pressure:%s/fifo", fifo);
	CHECK(mkfifo(strchr(conf, '/'), 0600) == 0);
	setenv("OOMRECLAIM_CONF", conf, 1);
	CHECK_EQ(system("exec /proc/$PPID/exe watched"), 0);
	unlink(strchr(conf, '/'));
	rmdir(fifo);
}

static void failing(void)
{
	repeat(become_failing, rounds);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {{"with-source", with_source},
	                                          {"watched", watched},
	                                          {"failing", failing}};

	/* By hand: as many as the second argument says. */
	rounds = argc > 2 ? atoi(argv[2]) : 20;
	return check_main(argc > 2 ? 2 : argc, argv, cases, COUNT(cases));
}
