/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program with something to show: with limit:48M, a cache that gives back what it is asked for,
 * and one request that nothing can serve. Says "ready" and then waits to be ended; with the
 * argument "leave", on another thread than the first; with "close", with another thread and no
 * descriptor but the first three; with "caches", with two shrinkers more, of which one has a target
 * and has regretted 12345 bytes.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OOMRECLAIM_OPTIONAL
#include "oomreclaim.h"

enum { BLOCKS = 1000, BLOCK_BYTES = 64 << 10 };

static void *blocks[BLOCKS];
static int oldest, newest;

static size_t evict(const struct oomreclaim_control *control, void *arg)
{
	size_t given = 0;

	(void)arg;
	while (given < control->bytes_wanted && oldest < newest) {
		free(blocks[oldest++]);
		given += BLOCK_BYTES;
	}
	return given;
}

static size_t count(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	return *(const size_t *)arg;
}

static size_t scan(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	return 0;
}

static int add_caches(void)
{
	static size_t sizes[] = {3 << 20, 1 << 20};
	struct oomreclaim_shrinker shrinker = {.name = "with a target",
	                                       .count = count,
	                                       .scan = scan,
	                                       .arg = &sizes[0],
	                                       .cost = 1};
	oomreclaim_handle handle;

	if (oomreclaim_shrinker_register(&shrinker, sizeof shrinker, &handle) != 0)
		return 0;
	shrinker.name = "without";
	shrinker.arg = &sizes[1];
	if (oomreclaim_shrinker_register(&shrinker, sizeof shrinker, NULL) != 0 ||
	    oomreclaim_cache_regret(handle, 12345) != 0)
		return 0;
	while (oomreclaim_cache_target(handle) == SIZE_MAX)
		usleep(1000);
	/* The page is brought up to date once a second, and after a failure. */
	return 1;
}

static void *wait_to_be_ended(void *arg)
{
	while (pause() != 0)
		continue;
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	volatile size_t impossible = SIZE_MAX;

	if (oomreclaim_available() &&
	    oomreclaim_register("the \"cache\"", 3, 0, evict, NULL, NULL) != 0)
		return 1;
	while (newest < BLOCKS) {
		void *block = malloc(BLOCK_BYTES);

		if (block == NULL)
			return 2;
		blocks[newest++] = memset(block, 1, BLOCK_BYTES);
	}
	if (argc > 1 && strcmp(argv[1], "caches") == 0 && !add_caches())
		return 5;
	if (malloc(impossible) != NULL)
		return 3;
	if (argc > 1 && strcmp(argv[1], "close") == 0) {
		if (pthread_create(&thread, NULL, wait_to_be_ended, NULL) != 0)
			return 4;
		closefrom(3);
	}
	puts("ready");
	fflush(stdout);
	if (argc > 1 && strcmp(argv[1], "leave") == 0) {
		if (pthread_create(&thread, NULL, wait_to_be_ended, NULL) != 0)
			return 4;
		pthread_exit(NULL);
	}
	wait_to_be_ended(NULL);
}
