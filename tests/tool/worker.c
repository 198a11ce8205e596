/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program with something to show: with limit:48M, a cache that gives back what it is asked for,
 * and one request that nothing can serve. Says "ready" and then waits to be ended; with the
 * argument "leave", on another thread than the first; with "close", with another thread and no
 * descriptor but the first three.
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
