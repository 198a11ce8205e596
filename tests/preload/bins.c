/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small blocks from the bins of a thread's cache, and back: no two are one, and every count that
 * jemalloc keeps of them is exact.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bin_stats.h"
#include "check.h"
#include "je.h"

#define SMALL_MAX ((size_t)4096)
#define BLOCKS 1000

size_t malloc_usable_size(void *memory);
/* C++'s, by their mangled names. */
void *new_plain(size_t size) __asm__("_Znwm") __attribute__((weak));
void delete_plain(void *memory) __asm__("_ZdlPv") __attribute__((weak));
void delete_sized(void *memory, size_t size) __asm__("_ZdlPvm") __attribute__((weak));

static uint64_t taken, freed;

static void count(uint64_t *allocated, uint64_t *deallocated)
{
	JE_READ("thread.allocated", allocated);
	JE_READ("thread.deallocated", deallocated);
}

/* Both counts have grown by as many bytes since count(). */
static void expect_counts(size_t more_taken, size_t more_freed)
{
	uint64_t taken_now, freed_now;

	count(&taken_now, &freed_now);
	CHECK_EQ(taken_now - taken, more_taken);
	CHECK_EQ(freed_now - freed, more_freed);
}

static void fill(unsigned char **blocks, size_t size)
{
	for (size_t i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(size);
		CHECK(blocks[i]);
		CHECK(((uintptr_t)blocks[i] & (sizeof(void *) - 1)) == 0);
		memset(blocks[i], (int)(i % 251), size);
	}
}

static void expect_untouched(unsigned char **blocks, size_t size)
{
	for (size_t i = 0; i < BLOCKS; i++)
		for (size_t at = 0; at < size; at++)
			CHECK(blocks[i][at] == i % 251);
}

/* Sizes up to the first that is not small, with more blocks of each than a bin has: bins are
   filled, emptied and flushed. */
static void sizes(void)
{
	static unsigned char *blocks[BLOCKS];

	for (size_t size = 0; size <= SMALL_MAX + 1; size += size < 64 ? 1 : 61) {
		size_t usable = nallocx(size > 0 ? size : 1, 0);

		count(&taken, &freed);
		fill(blocks, size);
		expect_untouched(blocks, size);
		CHECK_EQ(malloc_usable_size(blocks[0]), usable);
		expect_counts(BLOCKS * usable, 0);
		for (size_t i = 0; i < BLOCKS; i++)
			free(blocks[i]);
		expect_counts(BLOCKS * usable, BLOCKS * usable);
	}
}

/* With a size, by which the block goes into its bin. */
static void sized(void)
{
	for (size_t size = 1; size <= SMALL_MAX + 1; size += 5) {
		size_t usable = nallocx(size, 0);
		void *block;

		count(&taken, &freed);
		block = new_plain(size);
		CHECK_EQ(malloc_usable_size(block), usable);
		delete_sized(block, size);
		expect_counts(usable, usable);
		block = new_plain(size);
		delete_plain(block);
		expect_counts(2 * usable, 2 * usable);
		delete_sized(NULL, size);
		free(NULL);
		expect_counts(2 * usable, 2 * usable);
	}
}

static uint64_t requests(size_t bytes)
{
	return of_bin(bytes, "stats.arenas.0.bins.0.nrequests");
}

static void statistics(void)
{
	static unsigned char *blocks[BLOCKS];
	uint64_t before = requests(96);

	fill(blocks, 90);
	CHECK_EQ(requests(96) - before, BLOCKS);
	for (size_t i = 0; i < BLOCKS; i++)
		free(blocks[i]);
	CHECK_EQ(requests(96) - before, BLOCKS);
}

/* The thread's first call of the heap: the heap has no records of the thread. */
static void *free_first(void *block)
{
	free(block);
	return NULL;
}

static void threads(void)
{
	for (int i = 0; i < 100; i++) {
		pthread_t thread;

		CHECK(pthread_create(&thread, NULL, free_first, malloc(48)) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
	}
}

static size_t allocated(void)
{
	uint64_t epoch = 1;
	size_t bytes;

	CHECK(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0);
	CHECK(mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)) == 0);
	JE_READ("stats.allocated", &bytes);
	return bytes;
}

/* Run with all blocks sampled by heap profiling: no sampled block is small, whatever its size. */
static void sampled(void)
{
	size_t before = allocated();

	for (size_t i = 0; i < BLOCKS; i++) {
		void *block = new_plain(100);

		CHECK(((uintptr_t)block & 4095) == 0);
		if (i % 2 == 0)
			delete_sized(block, 100);
		else
			free(block);
	}
	CHECK(allocated() < before + BLOCKS * 100 / 2);
}

/* A cache that is looked through gives back what was of no use, and keeps what was. */
static void low_water(void)
{
	static unsigned char *blocks[BLOCKS];

	for (int round = 0; round < 200; round++) {
		/* Ever deeper into the bin, and each time anew from a full one. */
		size_t depth = (size_t)round % 100 + 1;

		for (size_t i = 0; i < depth; i++) {
			blocks[i] = malloc(200);
			memset(blocks[i], (int)i, 200);
		}
		for (size_t i = 0; i < depth; i++) {
			CHECK(blocks[i][0] == i && blocks[i][199] == i);
			free(blocks[i]);
		}
		/* Brings the events on. */
		free(malloc(MIB));
	}
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"sizes", sizes},     {"sized", sized},     {"statistics", statistics},
		{"threads", threads}, {"sampled", sampled}, {"low-water", low_water},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
