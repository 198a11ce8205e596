/* SPDX-License-Identifier: BSD-2-Clause */
/* The size classes of small blocks: slabs that threads share, and how many blocks a cache holds. */
#include <sched.h>
#include <stdlib.h>

#include "bin_stats.h"
#include "check.h"
#include "je.h"

/* ---- From how many slabs threads of one arena take blocks ---- */

/* The smallest blocks, those of up to 1024 bytes, and the rest. */
static void check_shards(uint64_t of_least, uint64_t of_small)
{
	const size_t least_max = 48, small_max = 1024;
	unsigned bins;

	JE_READ("arenas.nbins", &bins);
	for (size_t i = 0; i < bins; i++) {
		size_t bytes = bin_read("arenas.bin.0.size", i, sizeof(size_t));

		CHECK_EQ(bin_read("arenas.bin.0.nshards", i, sizeof(uint32_t)),
		         bytes <= least_max   ? of_least
		         : bytes <= small_max ? of_small
		                              : 1);
	}
}

/* One for each, four at most. */
static uint64_t processors(void)
{
	cpu_set_t set;
	int count;

	CPU_ZERO(&set);
	CHECK_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
	count = CPU_COUNT(&set);
	return count < 4 ? (uint64_t)count : 4;
}

static void shards(void)
{
	check_shards(8, processors());
}

static void shards_limited(void)
{
	check_shards(1, 1);
}

static void shards_set(void)
{
	check_shards(3, processors());
}

/* ---- Caches ---- */

/* How many blocks of that size the cache of the thread, now empty, holds when many are freed. */
static size_t held(size_t bytes)
{
	void *blocks[300];

	for (size_t i = 0; i < COUNT(blocks); i++) {
		blocks[i] = malloc(bytes);
		CHECK(blocks[i] != NULL);
	}
	/* A full cache gives half of its blocks back: in the end it is full again. */
	for (size_t i = 0, most = 0;; i++) {
		size_t now =
			of_bin_cached(bytes, "stats.arenas.0.bins.0.curregs") - (COUNT(blocks) - i);

		most = now > most ? now : most;
		if (i == COUNT(blocks))
			return most;
		free(blocks[i]);
	}
}

/* The program's own blocks of these sizes, few, count as well. */
#define CHECK_HELD(bytes, expected)                                             \
	do {                                                                    \
		size_t others = of_bin(bytes, "stats.arenas.0.bins.0.curregs"); \
		CHECK_EQ(held(bytes) - others, expected);                       \
	} while (0)

static void cached(void)
{
	CHECK_HELD(64, 128);
	CHECK_HELD(256, 32);
	CHECK_HELD(512, 32);
	CHECK_HELD(4096, 32);
	CHECK_HELD(14336, 32);
}

/* jemalloc's own. */
static void cached_limited(void)
{
	CHECK_HELD(64, 128);
	CHECK_HELD(256, 32);
	CHECK_HELD(512, 20);
	CHECK_HELD(4096, 20);
}

static void cached_set(void)
{
	CHECK_HELD(64, 128);
	CHECK_HELD(4096, 10);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"shards", shards}, {"shards-limited", shards_limited}, {"shards-set", shards_set},
		{"cached", cached}, {"cached-limited", cached_limited}, {"cached-set", cached_set},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
