/* SPDX-License-Identifier: BSD-2-Clause */
/* The reserve: what a callback allocates when RLIMIT_AS leaves nothing. */
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "je.h"
#include "oomreclaim.h"

enum { ROUNDS = 1000 };

static struct pool pool;
static bool is_live;
static int calls;

static const size_t sizes[] = {1,         16,        100,       1000,       4096,      5000,
                               14 * 1024, 16 * 1024, 64 * 1024, 256 * 1024, 512 * 1024};

static bool holds(const unsigned char *block, size_t bytes, unsigned char value)
{
	for (size_t i = 0; i < bytes; i++)
		if (block[i] != value)
			return false;
	return true;
}

/* Blocks of every form, a different size each round; all is freed again. */
static size_t use(const struct oomreclaim_control *control, void *arg)
{
	size_t bytes = sizes[(size_t)calls % COUNT(sizes)];
	unsigned char *block, *zeroed, *grown;
	void *aligned = NULL;

	(void)control, (void)arg;
	if (!is_live)
		return 0;
	calls++;
	errno = ERRNO_UNTOUCHED;
	CHECK((block = malloc(bytes)));
	memset(block, 1, bytes);
	CHECK(holds(block, bytes, 1));
	free(block);
	CHECK((zeroed = calloc(1, bytes)));
	CHECK(holds(zeroed, bytes, 0));
	memset(zeroed, 2, bytes);
	free(zeroed);
	CHECK(posix_memalign(&aligned, 4096, bytes) == 0 && (uintptr_t)aligned % 4096 == 0);
	memset(aligned, 3, bytes);
	free(aligned);
	/* From the reserve to the reserve; both are there for a moment. */
	CHECK((block = malloc(bytes / 3 + 1)));
	memset(block, 4, bytes / 3 + 1);
	CHECK((grown = realloc(block, bytes)));
	CHECK(holds(grown, bytes / 3 + 1, 4));
	free(grown);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
	return 0;
}

static void rounds(void)
{
	CHECK(oomreclaim_register("use", 0, 0, use, NULL, NULL) == 0);
	exhaust(&pool);
	is_live = true;
	for (int i = 0; i < ROUNDS; i++) {
		errno = 0;
		CHECK(!malloc(64 * MIB / 2));
		CHECK_EQ(errno, ENOMEM);
	}
	CHECK_EQ(calls, ROUNDS);
}

/* What is in reserve is there however often all that is free is given back. */
static void trimmed(void)
{
	CHECK(oomreclaim_register("use", 0, 0, use, NULL, NULL) == 0);
	malloc_trim(0);
	exhaust(&pool);
	is_live = true;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		CHECK(!malloc(64 * MIB / 2));
		malloc_trim(0);
	}
	CHECK_EQ(calls, COUNT(sizes));
}

/* A block that was there before, and has to grow. */
static size_t grow(const struct oomreclaim_control *control, void *arg)
{
	unsigned char **block = arg;

	(void)control;
	if (!is_live)
		return 0;
	calls++;
	CHECK((*block = realloc(*block, 300 * KIB)));
	CHECK(holds(*block, 200 * KIB, 7));
	return 0;
}

static void growth(void)
{
	unsigned char *block = malloc(200 * KIB);

	CHECK(block);
	memset(block, 7, 200 * KIB);
	CHECK(oomreclaim_register("grow", 0, 0, grow, &block, NULL) == 0);
	exhaust(&pool);
	is_live = true;
	CHECK(!malloc(MIB));
	CHECK_EQ(calls, 1);
	free(block);
}

/* What the callback keeps goes back to the reserve when it is freed, by whichever thread. */
static void *kept[3];

static size_t keep(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	if (!is_live)
		return 0;
	calls++;
	for (size_t i = 0; i < COUNT(kept); i++)
		CHECK((kept[i] = malloc(256 * KIB)));
	/* That was three quarters. */
	CHECK(!malloc(512 * KIB));
	return 0;
}

static void *free_kept(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < COUNT(kept); i++)
		free(kept[i]);
	return NULL;
}

static void keeping(void)
{
	pthread_attr_t attr;
	pthread_t other;

	CHECK(oomreclaim_register("keep", 0, 0, keep, NULL, NULL) == 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * KIB);
	for (int i = 0; i < 100; i++) {
		exhaust(&pool);
		is_live = true;
		CHECK(!malloc(MIB));
		is_live = false;
		CHECK_EQ(calls, i + 1);
		if (i % 10) {
			free_kept(NULL);
			continue;
		}
		CHECK(space_release(8 * MIB) >= 8 * MIB);
		CHECK(pthread_create(&other, &attr, free_kept, NULL) == 0);
		pthread_join(other, NULL);
	}
}

/* Run with reserve:0. The control experiment: it is the reserve that served the rest. */
static size_t use_none(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	calls++;
	for (size_t i = 0; i < COUNT(sizes); i++)
		if (is_live && sizes[i] >= 4096) {
			errno = 0;
			CHECK(!malloc(sizes[i]));
			CHECK_EQ(errno, ENOMEM);
		}
	return 0;
}

static void none(void)
{
	CHECK(oomreclaim_register("none", 0, 0, use_none, NULL, NULL) == 0);
	exhaust(&pool);
	is_live = true;
	calls = 0;
	CHECK(!malloc(64 * KIB));
	CHECK_EQ(calls, 1);
}

/* Nobody but callbacks gets it: what they give back stays in no cache of the thread. */
static size_t borrow(const struct oomreclaim_control *control, void *arg)
{
	void *blocks[10];

	(void)arg;
	if (!is_live)
		return 0;
	calls++;
	for (size_t i = 0; i < COUNT(blocks); i++)
		CHECK((blocks[i] = malloc(control->size)));
	for (size_t i = 0; i < COUNT(blocks); i++)
		free(blocks[i]);
	return 0;
}

static void not_for_all(void)
{
	CHECK(oomreclaim_register("borrow", 0, 0, borrow, NULL, NULL) == 0);
	exhaust(&pool);
	is_live = true;
	for (size_t bytes = 64; bytes <= 64 * KIB; bytes *= 2) {
		calls = 0;
		CHECK(!malloc(bytes));
		CHECK_EQ(calls, 1);
	}
}

/* jemalloc's own threads, of which some arenas have one. */
static unsigned count_background(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	unsigned count = 0;

	CHECK(tasks);
	while ((task = readdir(tasks)) != NULL) {
		char path[300], name[32] = "";
		FILE *comm;

		snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
		comm = fopen(path, "re");
		if (comm == NULL)
			continue;
		count += fgets(name, sizeof name, comm) && !strcmp(name, "jemalloc_bg_thd\n");
		fclose(comm);
	}
	closedir(tasks);
	return count;
}

/* There is one for what jemalloc's only arena has, and none for the reserve's. */
static void no_background(void)
{
	bool on = true, was = false;
	size_t length = sizeof was;

	CHECK_EQ(mallctl("background_thread", &was, &length, &on, sizeof on), 0);
	for (unsigned i = 0; i < 100 && count_background() == 0; i++)
		usleep(10000);
	/* Each is made by the first. */
	usleep(200000);
	CHECK_EQ(count_background(), 1);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"rounds", rounds},
		{"trimmed", trimmed},
		{"growth", growth},
		{"keeping", keeping},
		{"none", none},
		{"not-for-all", not_for_all},
		{"no-background", no_background},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
