/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Of the kind of sh6bench: small blocks in runs of one size each, few of the larger ones, freed in
 * the order in which they were made, in the reverse order, and every other one.
 */
#include "workload.h"

enum { BLOCKS = 4096, SIZE_MAX_BYTES = 1000, STEP = 17 };

static void *fill_one(struct worker *self, size_t at)
{
	/* Of every size as many as makes about as many bytes: the smaller, the longer the run. */
	size_t size = 1 + at * at / (BLOCKS * (size_t)BLOCKS / SIZE_MAX_BYTES) / STEP * STEP;

	return take(self, size);
}

static void fill(struct worker *self, void **blocks)
{
	for (size_t i = 0; i < BLOCKS; i++)
		if (!blocks[i])
			blocks[i] = fill_one(self, i);
}

static void drop(void **block)
{
	free(*block);
	*block = NULL;
}

static void run(struct worker *self)
{
	void *blocks[BLOCKS] = {NULL};

	for (uint64_t i = 0; i < self->rounds; i++) {
		fill(self, blocks);
		for (size_t n = 0; n < BLOCKS; n += 2)
			drop(&blocks[n]);
		fill(self, blocks);
		for (size_t n = BLOCKS; n-- > BLOCKS / 4;)
			drop(&blocks[n]);
		fill(self, blocks);
		for (size_t n = 0; n < BLOCKS; n++)
			drop(&blocks[n]);
	}
}

const struct workload sh6bench_workload = {.name = "sh6bench", .rounds = 600, .run = run};
