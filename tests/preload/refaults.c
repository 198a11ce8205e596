/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large pages that were given back and wanted again at once are kept the next time; and not beyond
 * their use. Counted in page faults, without huge pages: for that the program starts itself once
 * more.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "je.h"

enum { PAGE_BYTES = 4096, LIVE = 16, THREADS = 4, ROUNDS = 400 };

static long faults(void)
{
	struct rusage usage;

	CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
	return usage.ru_minflt;
}

static char *take(size_t bytes)
{
	volatile char *block = malloc(bytes);

	CHECK(block);
	for (size_t i = 0; i < bytes; i += PAGE_BYTES)
		block[i] = (char)(i >> 12);
	return (char *)block;
}

/* No two blocks have a page in common, nor is one given back that is in use. */
static void check_block(const char *block, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += PAGE_BYTES)
		CHECK(block[i] == (char)(i >> 12));
}

static size_t dirty_bytes(void)
{
	uint64_t epoch = 1;
	size_t pages;

	CHECK(mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)) == 0);
	JE_READ("stats.arenas.4096.pdirty", &pages); /* of all arenas */
	return pages * PAGE_BYTES;
}

struct blocks {
	char *block[LIVE];
	size_t bytes[LIVE];
	unsigned random;
};

static size_t replace_one(struct blocks *blocks, unsigned least_mib, unsigned span_mib)
{
	unsigned random = blocks->random = blocks->random * 1103515245 + 12345;
	unsigned at = random >> 16 & (LIVE - 1);
	size_t bytes = (least_mib + (random >> 20) % span_mib) * MIB;

	if (blocks->block[at])
		check_block(blocks->block[at], blocks->bytes[at]);
	free(blocks->block[at]);
	blocks->block[at] = take(bytes);
	blocks->bytes[at] = bytes;
	return bytes;
}

/* What is faulted in of the blocks of the second half, in hundredths. */
static long faulted_percent(struct blocks *blocks, unsigned least_mib, unsigned span_mib)
{
	long pages = 0, before = 0;

	for (int i = 0; i < ROUNDS; i++) {
		size_t bytes;

		if (i == ROUNDS / 2)
			before = faults();
		bytes = replace_one(blocks, least_mib, span_mib);
		if (i >= ROUNDS / 2)
			pages += (long)(bytes / PAGE_BYTES);
	}
	return (faults() - before) * 100 / pages;
}

static void spend(unsigned ms)
{
	uint64_t end_ns = check_now_ns() + (uint64_t)ms * 1000000;

	do {
		for (int i = 0; i < 10000; i++)
			free(malloc(100));
		usleep(1000);
	} while (check_now_ns() < end_ns);
}

/* Blocks that are replaced about once a second, by a program that allocates small ones all the
   time: what is about to be taken anew is not forgotten meanwhile. */
static void slowly(void)
{
	enum { SLOW = 24, FIRST = 4, BLOCK_BYTES = 16 << 20 };
	char *block[12];
	long before = 0;

	for (size_t i = 0; i < COUNT(block); i++)
		block[i] = take(BLOCK_BYTES);
	for (int i = 0; i < SLOW; i++) {
		size_t at = (size_t)i % COUNT(block);

		if (i == FIRST)
			before = faults();
		free(block[at]);
		spend(800);
		block[at] = take(BLOCK_BYTES);
		spend(100);
	}
	CHECK(faults() - before < (SLOW - FIRST) * (long)(BLOCK_BYTES / PAGE_BYTES) * 36 / 100);
}

static void free_all(struct blocks *blocks)
{
	for (int i = 0; i < LIVE; i++)
		free(blocks->block[i]);
}

static struct blocks blocks;

static void huge(void)
{
	CHECK(faulted_percent(&blocks, 8, 17) < 20);
	CHECK(dirty_bytes() > MIB);
	free_all(&blocks);
	/* Nothing is in use any more, so nothing is kept. */
	CHECK(dirty_bytes() < 8 * MIB);
}

/* Smaller blocks: jemalloc gives back what lies together when they are free. */
static void large(void)
{
	CHECK(faulted_percent(&blocks, 2, 6) < 5);
}

/* One peak, and no block after it: of blocks that have an arena to themselves, and of smaller ones,
   which lie together when they are free. */
static void peak(void)
{
	for (size_t mib = 4; mib <= 8; mib += 4) {
		for (int i = 0; i < LIVE; i++)
			blocks.block[i] = take(mib * MIB);
		free_all(&blocks);
		CHECK(dirty_bytes() < 32 * MIB);
	}
}

/* Run with a setting of the user's own. */
static void set_by_hand(void)
{
	CHECK(faulted_percent(&blocks, 8, 17) > 90);
}

/* Told to, the heap gives back all. */
static void told(void)
{
	faulted_percent(&blocks, 8, 17);
	CHECK(dirty_bytes() > MIB);
	CHECK(mallctl("arena.4096.purge", NULL, NULL, NULL, 0) == 0);
	CHECK_EQ(dirty_bytes(), 0);
}

/* Blocks of 16 KiB and less that come and go: now and then the heap looks what is to be given
   back. */
static void leave_alone(void)
{
	static char *small[200];

	for (int i = 0; i < 200; i++)
		small[i] = malloc(14000);
	for (int i = 0; i < 200; i++)
		free(small[i]);
}

static void leave_alone_large(void)
{
	for (int i = 0; i < 4; i++)
		free(malloc(1000000));
}

/* All of it from the thread's cache. */
static void leave_alone_cached(void)
{
	for (int i = 0; i < 20000; i++)
		free(malloc(100));
}

/* What is kept for blocks that do not come goes, if the program allocates anything at all: waited
   for until it has gone. */
static void await_gone(void (*allocate)(void))
{
	faulted_percent(&blocks, 8, 17);
	while (dirty_bytes() > 32 * MIB) {
		allocate();
		usleep(10000);
	}
}

static void unused(void)
{
	await_gone(leave_alone);
}

static void unused_large(void)
{
	await_gone(leave_alone_large);
}

static void unused_cached(void)
{
	await_gone(leave_alone_cached);
}

static void *run_thread(void *arg)
{
	struct blocks own = {.random = (unsigned)(uintptr_t)arg};

	for (int i = 0; i < ROUNDS; i++)
		replace_one(&own, 1, 12);
	for (int i = 0; i < LIVE; i++)
		if (own.block[i])
			check_block(own.block[i], own.bytes[i]);
	free_all(&own);
	return NULL;
}

static void threads(void)
{
	pthread_t thread[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, run_thread, (void *)(i + 1)) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {{"huge", huge},
	                                          {"large", large},
	                                          {"peak", peak},
	                                          {"set-by-hand", set_by_hand},
	                                          {"told", told},
	                                          {"slowly", slowly},
	                                          {"unused", unused},
	                                          {"unused-large", unused_large},
	                                          {"unused-cached", unused_cached},
	                                          {"threads", threads}};

	if (prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 0) {
		CHECK(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
		execv("/proc/self/exe", argv);
		return 127;
	}
	return check_main(argc, argv, cases, COUNT(cases));
}
