/* SPDX-License-Identifier: BSD-2-Clause */
/* Own reclaim by degrees: what serves a failure is the cheapest step that can. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "charged.h"
#include "check.h"
#include "je.h"
#include "oomreclaim.h"

#define PAGE_BLOCK ((size_t)4096)

static struct pool pool;
static void *pages[4096];
static struct oomreclaim_stats before, after;

static void read_stats(struct oomreclaim_stats *stats)
{
	CHECK_EQ(oomreclaim_stats_get(stats, sizeof *stats), 0);
}

static void fill(void)
{
	for (size_t i = 0; i < COUNT(pages); i++)
		CHECK((pages[i] = mallocx(PAGE_BLOCK, MALLOCX_TCACHE_NONE)));
	exhaust(&pool);
}

/* Takes so much, which fails at first and is served by a later step. */
static void *take(size_t bytes, int flags)
{
	void *memory;

	read_stats(&before);
	memory = mallocx(bytes, flags);
	CHECK(memory);
	read_stats(&after);
	CHECK(after.failures > before.failures);
	CHECK_EQ(after.refused, before.refused);
	return memory;
}

/* The cache of this very thread has it. */
static void flush(void)
{
	static void *cached[8];

	for (size_t i = 0; i < COUNT(cached); i++)
		CHECK((cached[i] = malloc(28000)));
	fill();
	for (size_t i = 0; i < COUNT(cached); i++)
		free(cached[i]);
	take(32000, MALLOCX_TCACHE_NONE);
	CHECK_EQ(after.flushes, before.flushes + 1);
	CHECK_EQ(after.evictions, before.evictions);
}

/* What is free lies side by side, in pages that were freed one by one. */
static void compact(void)
{
	fill();
	for (size_t i = 1024; i < 1024 + 512; i++)
		dallocx(pages[i], MALLOCX_TCACHE_NONE);
	take(512 * KIB, 0);
	CHECK_EQ(after.compactions, before.compactions + 1);
	CHECK_EQ(after.evictions, before.evictions);
	CHECK_EQ(after.full_evictions, before.full_evictions);
	CHECK(after.heap_dirty >= MIB);
}

static pthread_barrier_t barrier;

static void *strand(void *arg)
{
	void *mine[32];
	unsigned arena;

	for (size_t i = 0; i < COUNT(mine); i++)
		CHECK((mine[i] = malloc(256 * KIB)));
	JE_READ("thread.arena", &arena);
	CHECK(arena != 0);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < COUNT(mine); i++)
		free(mine[i]);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return arg;
}

/* Another thread's arena has it, and keeps it. */
static void borrow(void)
{
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	CHECK_EQ(pthread_create(&thread, NULL, strand, NULL), 0);
	pthread_barrier_wait(&barrier);
	fill();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	take(4 * MIB, 0);
	CHECK_EQ(after.borrows, before.borrows + 1);
	CHECK_EQ(after.evictions, before.evictions);
	CHECK_EQ(after.full_evictions, before.full_evictions);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
}

/* What is free lies in pieces that are too small: about as much as is needed goes. */
static void evict(void)
{
	fill();
	for (size_t i = 0; i < COUNT(pages); i += 2)
		dallocx(pages[i], MALLOCX_TCACHE_NONE);
	take(300 * KIB, 0);
	CHECK(after.evictions > before.evictions);
	CHECK_EQ(after.full_evictions, before.full_evictions);
	CHECK(after.heap_dirty >= 4 * MIB);
}

/* The heap's record of a GiB of addresses takes 4 MiB, which is more than these tests leave. Where
   the addresses that the test is going to use are of two GiB, the test starts anew, and the system
   puts it elsewhere. */
static void stay_in_one_gib(char *name)
{
	char *const arguments[] = {"degrees", name, NULL};
	const size_t bytes = 100 * MIB;
	char *first = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(first != MAP_FAILED && munmap(first, bytes) == 0);
	if ((uintptr_t)(first - bytes) >> 30 != (uintptr_t)(first + 2 * bytes) >> 30)
		execv("/proc/self/exe", arguments);
}

static bool is_beside(const char *block, const char *other)
{
	size_t bytes = (size_t)(block > other ? block - other : other - block);

	return bytes <= MIB + 2 * PAGE_BLOCK;
}

static bool is_between(char *const *blocks, size_t i)
{
	return is_beside(blocks[i - 1], blocks[i]) && is_beside(blocks[i], blocks[i + 1]);
}

/* What is free lies beside addresses that were given back: what is missing comes from elsewhere,
   and the pages that are free stay. */
static void extend(void)
{
	static char *blocks[128], name[] = "extend";
	size_t count = 0, i = 4, before_bytes, far;
	char *both;

	stay_in_one_gib(name);
	while (count < COUNT(blocks) && (blocks[count] = mallocx(MIB, MALLOCX_TCACHE_NONE)) != NULL)
		memset(blocks[count++], 1, MIB);
	CHECK(count > 32);
	while (i < count / 2 && !is_between(blocks, i))
		i++;
	for (far = i + 4; far < count - 4 && !is_between(blocks, far);)
		far++;
	CHECK(is_between(blocks, i) && is_between(blocks, far));
	dallocx(blocks[i - 1], MALLOCX_TCACHE_NONE);
	dallocx(blocks[i + 1], MALLOCX_TCACHE_NONE);
	take(2 * MIB, MALLOCX_TCACHE_NONE);
	dallocx(blocks[i], MALLOCX_TCACHE_NONE);
	dallocx(blocks[far], MALLOCX_TCACHE_NONE);
	before_bytes = charged();
	both = take(2 * MIB, MALLOCX_TCACHE_NONE);
	CHECK(both <= blocks[i] + PAGE_BLOCK && blocks[i] < both + 2 * MIB);
	CHECK_EQ(after.full_evictions, before.full_evictions);
	/* What was written there before: the pages are the same. */
	CHECK(blocks[i][MIB / 2] == 1);
	memset(both, 1, 2 * MIB);
	CHECK(charged() + 64 * KIB >= before_bytes && charged() <= before_bytes + 64 * KIB);
}

/* All of it is needed. */
static void evict_all(void)
{
	static char name[] = "evict-all";

	stay_in_one_gib(name);
	fill();
	for (size_t i = 0; i < COUNT(pages); i++)
		if (i % 32 != 0)
			dallocx(pages[i], MALLOCX_TCACHE_NONE);
	take(12 * MIB, 0);
	CHECK(after.heap_dirty <= 2 * MIB);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {{"flush", flush},   {"compact", compact},
	                                          {"borrow", borrow}, {"evict", evict},
	                                          {"extend", extend}, {"evict-all", evict_all}};

	return check_main(argc, argv, cases, COUNT(cases));
}
