/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that closes all descriptors and opens its own by their numbers, again and again, while
 * other threads allocate, the watermark is met and pressure is reported: nothing of its own is
 * closed, read or written to. Argument: rounds.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim.h"

#define BLOCK (256 * KIB)
#define FILES 40
#define PAIRS 20

static struct pool pool;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool is_done;
static atomic_int background_calls;

static size_t evict(const struct oomreclaim_control *control, void *arg)
{
	size_t freed;

	(void)arg;
	if (pthread_mutex_trylock(&lock))
		return 0;
	background_calls += !control->is_direct;
	freed = pool_evict(&pool, control->bytes_wanted);
	pthread_mutex_unlock(&lock);
	return freed;
}

/* Above the watermark, and below it by the callback. */
static void *allocate(void *arg)
{
	while (!is_done) {
		struct pool own = {0};

		/* NULL where the other thread has the lock. */
		if (!pool_add(&own, BLOCK))
			continue;
		pthread_mutex_lock(&lock);
		pool_append(&pool, &own);
		pthread_mutex_unlock(&lock);
	}
	return arg;
}

static struct stat kind_of(int fd)
{
	struct stat status;

	CHECK(fstat(fd, &status) == 0);
	return status;
}

static void check_same(int fd, const struct stat *before)
{
	struct stat now = kind_of(fd);

	CHECK(now.st_dev == before->st_dev && now.st_ino == before->st_ino);
	CHECK_EQ(now.st_size, before->st_size);
	CHECK_EQ(now.st_mode, before->st_mode);
}

static void round_of(void)
{
	int files[FILES], pairs[PAIRS][2];
	struct stat file[FILES], pair[PAIRS][2];
	char byte;

	CHECK(close_range(3, ~0U, 0) == 0);
	for (int i = 0; i < FILES; i++) {
		files[i] = memfd_create("program's", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		CHECK(files[i] >= 0);
		file[i] = kind_of(files[i]);
	}
	for (int i = 0; i < PAIRS; i++) {
		CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pairs[i]) == 0);
		for (int j = 0; j < 2; j++)
			pair[i][j] = kind_of(pairs[i][j]);
	}
	sched_yield();
	for (int i = 0; i < FILES; i++) {
		check_same(files[i], &file[i]);
		CHECK_EQ(fcntl(files[i], F_GET_SEALS), 0);
	}
	for (int i = 0; i < 2 * PAIRS; i++) {
		check_same(pairs[i / 2][i % 2], &pair[i / 2][i % 2]);
		CHECK(recv(pairs[i / 2][i % 2], &byte, 1, 0) == -1 && errno == EAGAIN);
	}
}

static void run(int rounds)
{
	pthread_t threads[2];

	CHECK_EQ(oomreclaim_register("pool", 0, 0, evict, NULL, NULL), 0);
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&threads[i], NULL, allocate, NULL));
	for (int i = 0; i < rounds; i++)
		round_of();
	while (background_calls < 3)
		usleep(1000);
	is_done = true;
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_join(threads[i], NULL));
}

/* With all that wants descriptors. */
static void run_with_fifo(int rounds)
{
	static char path[] = "/tmp/oomreclaim-fds-XXXXXX", conf[128], count[16];
	int status, fifo;
	pid_t pid;

	CHECK(mkdtemp(path));
	strcat(strcpy(conf, "limit:64M,high:32M,stats:true,pressure:"), path);
	strcat(conf, "/fifo");
	snprintf(count, sizeof count, "%d", rounds);
	CHECK_EQ(mkfifo(strchr(conf, '/'), 0600), 0);
	fifo = open(strchr(conf, '/'), O_RDWR | O_NONBLOCK | O_CLOEXEC);
	CHECK(fifo >= 0);
	pid = fork();
	if (!pid) {
		setenv("OOMRECLAIM_CONF", conf, 1);
		execl("/proc/self/exe", "descriptors", "run", count, NULL);
		_exit(9);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		(void)!write(fifo, "x", 1);
		usleep(1000);
	}
	unlink(strchr(conf, '/'));
	rmdir(path);
	CHECK_EQ(status, 0);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "run"))
		run(atoi(argv[2]));
	else
		run_with_fifo(argc == 2 ? atoi(argv[1]) : 1);
	return 0;
}
