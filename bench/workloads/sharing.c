/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * False sharing, of the kinds of cache-thrash and cache-scratch: each thread writes a small block
 * of its own over and over. Slow where an allocator gives blocks of one cache line to several
 * threads, on its own account (thrash), or because a thread freed what another had allocated there
 * (scratch).
 */
#include "workload.h"

enum { BLOCK = 8, WRITES = 200 };

static void *given[WORKERS_MAX]; /* allocated by the main thread, one beside the other */

static void write_own(struct worker *self)
{
	for (uint64_t i = 0; i < self->rounds; i++) {
		volatile unsigned char *block = take(self, BLOCK);

		for (int n = 0; block && n < WRITES; n++)
			block[n % BLOCK]++;
		free((void *)block);
	}
}

static void scratch(struct worker *self)
{
	free(given[self->index]);
	given[self->index] = NULL;
	write_own(self);
}

static void prepare(unsigned threads)
{
	for (unsigned i = 0; i < threads; i++)
		given[i] = malloc(BLOCK);
}

const struct workload thrash_workload = {.name = "cache-thrash",
                                         .rounds = 3000000,
                                         .run = write_own};
const struct workload scratch_workload = {.name = "cache-scratch",
                                          .rounds = 3000000,
                                          .run = scratch,
                                          .prepare = prepare};
