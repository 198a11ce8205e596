/* SPDX-License-Identifier: BSD-2-Clause */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "oomreclaim.h"

void check_failed(const char *file, int line, const char *condition)
{
	/* The end of a thread alone would hide it. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	dprintf(STDERR_FILENO, "%s:%d: check failed: %s\n", file, line, condition);
	_exit(1);
}

void check_equal(const char *file, int line, const char *what, long is, long expected)
{
	if (is == expected)
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	dprintf(STDERR_FILENO, "%s:%d: check failed: %s is %ld, expected %ld\n", file, line, what,
	        is, expected);
	_exit(1);
}

static char **arguments; /* for an exec() of the same */

int check_main(int argc, char **argv, const struct check_case *cases, size_t count)
{
	arguments = argv;
	for (size_t i = 0; argc == 2 && i < count; i++)
		if (!strcmp(argv[1], cases[i].name)) {
			cases[i].run();
			return 0;
		}
	fprintf(stderr, "usage: %s CASE, one of:", argv[0]);
	for (size_t i = 0; i < count; i++)
		fprintf(stderr, " %s", cases[i].name);
	fprintf(stderr, "\n");
	return 2;
}

int check_child(pid_t pid)
{
	int status;

	CHECK(pid > 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

uint64_t check_now_ns(void)
{
	struct timespec now;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static char thread_state(pid_t tid)
{
	char path[64], text[256], *at;
	ssize_t got;
	int fd;

	/* Not by stdio, which allocates. */
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	got = read(fd, text, sizeof text - 1);
	CHECK(got > 0);
	close(fd);
	text[got] = '\0';
	/* "tid (name) S ..." */
	at = strrchr(text, ')');
	CHECK(at && at[1] == ' ');
	return at[2];
}

void check_asleep(const pid_t *tid)
{
	pid_t it;

	do
		usleep(1000);
	while (!(it = __atomic_load_n(tid, __ATOMIC_SEQ_CST)) || thread_state(it) != 'S');
}

struct pool_block {
	struct pool_block *next;
	size_t bytes;
};

bool pool_add(struct pool *pool, size_t bytes)
{
	struct pool_block *block = malloc(bytes);

	if (!block)
		return false;
	block->next = NULL;
	block->bytes = bytes;
	if (pool->newest)
		pool->newest->next = block;
	else
		pool->oldest = block;
	pool->newest = block;
	pool->count++;
	return true;
}

size_t pool_fill(struct pool *pool, size_t bytes)
{
	size_t before = pool->count;

	while (pool_add(pool, bytes))
		;
	return pool->count - before;
}

size_t pool_evict(struct pool *pool, size_t bytes)
{
	size_t freed = 0;

	while (pool->oldest && freed < bytes) {
		struct pool_block *block = pool->oldest;

		pool->oldest = block->next;
		if (!pool->oldest)
			pool->newest = NULL;
		pool->count--;
		freed += block->bytes;
		free(block);
	}
	return freed;
}

void pool_clear(struct pool *pool)
{
	pool_evict(pool, (size_t)-1);
}

void pool_append(struct pool *pool, struct pool *from)
{
	if (!from->oldest)
		return;
	if (pool->newest)
		pool->newest->next = from->oldest;
	else
		pool->oldest = from->oldest;
	pool->newest = from->newest;
	pool->count += from->count;
	*from = (struct pool){0};
}

enum { SPACES_MAX = 4096 };
static struct {
	void *at;
	size_t bytes;
} spaces[SPACES_MAX];
static size_t spaces_used;

void space_fill(void)
{
	void *at;

	for (size_t bytes = 64 * MIB; bytes >= (size_t)sysconf(_SC_PAGESIZE); bytes /= 2)
		while ((at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) !=
		       MAP_FAILED) {
			CHECK(spaces_used < SPACES_MAX);
			spaces[spaces_used].at = at;
			spaces[spaces_used++].bytes = bytes;
		}
}

size_t space_release(size_t bytes)
{
	size_t released = 0;

	while (spaces_used > 0 && released < bytes) {
		spaces_used--;
		CHECK(munmap(spaces[spaces_used].at, spaces[spaces_used].bytes) == 0);
		released += spaces[spaces_used].bytes;
	}
	return released;
}

void space_in_one_leaf(size_t bytes)
{
	const uintptr_t gib = (uintptr_t)1 << 30;
	const char *name = "CHECK_EXECS", *before = getenv(name);
	unsigned long execs = before ? strtoul(before, NULL, 10) : 0;
	void *first = malloc(MIB);
	uintptr_t above;
	char text[16];

	CHECK(first);
	above = (uintptr_t)first % gib;
	if (above >= bytes && above < gib - 64 * MIB) {
		free(first);
		return;
	}
	CHECK(execs < 50);
	snprintf(text, sizeof text, "%lu", execs + 1);
	setenv(name, text, 1);
	execv("/proc/self/exe", arguments);
	CHECK(!"exec");
}

void *check_sleep(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

size_t check_give_nothing(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	return 0;
}

size_t space_mapped(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	size_t pages;

	CHECK(file && fscanf(file, "%zu", &pages) == 1);
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

void space_limit(size_t bytes)
{
	struct rlimit limit;

	CHECK_EQ(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = bytes == SIZE_MAX ? limit.rlim_max : space_mapped() + bytes;
	CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
}

void exhaust(struct pool *pool)
{
	unsigned old = oomreclaim_scope_save(OOMRECLAIM_SCOPE_RETRY_MAYFAIL);

	/* What the heap gives back on the way is taken at once. */
	for (size_t bytes = MIB; bytes >= sizeof(struct pool_block); bytes /= 2) {
		space_fill();
		pool_fill(pool, bytes);
	}
	space_fill();
	errno = 0;
	CHECK(!malloc(MIB));
	CHECK(errno == ENOMEM);
	oomreclaim_scope_restore(old);
}
