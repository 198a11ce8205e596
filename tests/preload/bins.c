/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blocks from the bins of a thread's cache, and back: no two are one, and every count that jemalloc
 * keeps of them is exact.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bin_stats.h"
#include "check.h"
#include "je.h"

#define SMALL_MAX ((size_t)4096)
#define BLOCKS 1000
/* More than a cache holds of each size above 4 KiB, and the first size that it does not hold. */
#define LARGER_BLOCKS 100
#define LARGER_MAX (((size_t)32 << 10) + 1)
#define LARGER_STEP 1021

size_t malloc_usable_size(void *memory);
/* C++'s, by their mangled names. */
void *new_plain(size_t size) __asm__("_Znwm") __attribute__((weak));
void delete_plain(void *memory) __asm__("_ZdlPv") __attribute__((weak));
void delete_sized(void *memory, size_t size) __asm__("_ZdlPvm") __attribute__((weak));
void delete_array_sized(void *memory, size_t size) __asm__("_ZdaPvm") __attribute__((weak));
void delete_sized_aligned(void *memory, size_t size,
                          size_t alignment) __asm__("_ZdlPvmSt11align_val_t") __attribute__((weak));
void free_sized(void *memory, size_t size) __attribute__((weak));

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

static void fill(unsigned char **blocks, size_t size, size_t number)
{
	for (size_t i = 0; i < number; i++) {
		blocks[i] = malloc(size);
		CHECK(blocks[i]);
		CHECK(((uintptr_t)blocks[i] & (sizeof(void *) - 1)) == 0);
		memset(blocks[i], (int)(i % 251), size);
	}
}

static void expect_untouched(unsigned char **blocks, size_t size, size_t number)
{
	for (size_t i = 0; i < number; i++)
		for (size_t at = 0; at < size; at++)
			CHECK(blocks[i][at] == i % 251);
}

static void check_size(size_t size, size_t number)
{
	static unsigned char *blocks[BLOCKS];
	size_t usable = nallocx(size > 0 ? size : 1, 0);

	count(&taken, &freed);
	fill(blocks, size, number);
	expect_untouched(blocks, size, number);
	CHECK_EQ(malloc_usable_size(blocks[0]), usable);
	expect_counts(number * usable, 0);
	for (size_t i = 0; i < number; i++)
		free(blocks[i]);
	expect_counts(number * usable, number * usable);
}

/* Sizes up to the first that is not small, with more blocks of each than a bin has: bins are
   filled, emptied and flushed. */
static void sizes(void)
{
	for (size_t size = 0; size <= SMALL_MAX + 1; size += size < 64 ? 1 : 61)
		check_size(size, BLOCKS);
}

static void larger(void)
{
	for (size_t size = SMALL_MAX + 1; size <= LARGER_MAX + LARGER_STEP; size += LARGER_STEP)
		check_size(size, LARGER_BLOCKS);
	check_size(LARGER_MAX - 1, LARGER_BLOCKS);
	check_size(LARGER_MAX, LARGER_BLOCKS);
}

/* Those of 4 to 32 KiB that malloc() got are in the cache: calloc() gets them, and cleans them. */
static void larger_zeroes(void)
{
	for (size_t size = SMALL_MAX + 1; size <= LARGER_MAX; size += LARGER_STEP) {
		unsigned char *block = malloc(size);

		memset(block, 1, size);
		free(block);
		block = calloc(1, size);
		for (size_t i = 0; i < size; i++)
			CHECK(block[i] == 0);
		free(block);
	}
}

/* With the size that they have. */
static void check_sized(size_t size)
{
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

static void sized(void)
{
	for (size_t size = 1; size <= SMALL_MAX + 1; size += 5)
		check_sized(size);
	for (size_t size = SMALL_MAX + 1; size <= LARGER_MAX + LARGER_STEP; size += LARGER_STEP)
		check_sized(size);
}

/* The block is what it is: with a size of another class it does not get to the blocks of that. */
static void expect_back(void *block, size_t wrong)
{
	unsigned char *other = malloc(wrong);

	expect_counts(48 + nallocx(wrong, 0), 48);
	CHECK(other != block);
	free(other);
	count(&taken, &freed);
}

/* As where C++ deletes an object by a pointer to its base class: libc looks at no size. */
static void wrong_size(void)
{
	static const size_t wrong[] = {1, 16, 64, 5000, 20000, MIB};

	count(&taken, &freed);
	for (size_t i = 0; i < COUNT(wrong); i++) {
		void *block = new_plain(48);

		delete_sized(block, wrong[i]);
		expect_back(block, wrong[i]);
		delete_array_sized(block = new_plain(48), wrong[i]);
		expect_back(block, wrong[i]);
		delete_sized_aligned(block = new_plain(48), wrong[i], 16);
		expect_back(block, wrong[i]);
		free_sized(block = new_plain(48), wrong[i]);
		expect_back(block, wrong[i]);
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

	fill(blocks, 90, BLOCKS);
	CHECK_EQ(requests(96) - before, BLOCKS);
	for (size_t i = 0; i < BLOCKS; i++)
		free(blocks[i]);
	CHECK_EQ(requests(96) - before, BLOCKS);
	before = requests(8192);
	for (size_t i = 0; i < BLOCKS; i++)
		free(malloc(8000));
	CHECK_EQ(requests(8192) - before, BLOCKS);
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

/* The objects in use that heap profiling knows of: the first number of the second line. */
static long profiled(void)
{
	char name[] = "/tmp/bins-XXXXXX", line[256] = "";
	const char *path = name;
	int file = mkstemp(name);
	FILE *profile;
	long objects;

	CHECK(file >= 0);
	CHECK(mallctl("prof.dump", NULL, NULL, &path, sizeof(path)) == 0);
	profile = fdopen(file, "r");
	CHECK(profile && fgets(line, sizeof line, profile) && fgets(line, sizeof line, profile));
	fclose(profile);
	CHECK(remove(name) == 0);
	CHECK(sscanf(line, " t*: %ld:", &objects) == 1);
	return objects;
}

/* Nor does a larger one go into a bin while the profile counts it. */
static void sampled_larger(void)
{
	long before = profiled();

	for (size_t i = 0; i < LARGER_BLOCKS; i++) {
		free(malloc(20000));
		delete_sized(new_plain(20000), 20000);
	}
	CHECK(profiled() < before + 10);
}

/* A sampled small block that realloc() has moved from is in the cache as one of 16 KiB, with the
   record of its sample. Whoever gets it next is no sample. */
static void sampled_moved(void)
{
	long before = profiled();

	for (int i = 0; i < 3000; i++) {
		free(realloc(malloc(1000), 3000));
		free(malloc(16000));
	}
	CHECK(labs(profiled() - before) < 100);
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
		{"sizes", sizes},
		{"sized", sized},
		{"wrong-size", wrong_size},
		{"statistics", statistics},
		{"threads", threads},
		{"sampled", sampled},
		{"low-water", low_water},
		{"larger", larger},
		{"larger-zeroes", larger_zeroes},
		{"sampled-larger", sampled_larger},
		{"sampled-moved", sampled_moved},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
