/* SPDX-License-Identifier: BSD-2-Clause */
/* Own reclaim by degrees: what serves a failure is the cheapest step that can. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

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
static void take(size_t bytes, int flags)
{
	read_stats(&before);
	CHECK(mallocx(bytes, flags));
	read_stats(&after);
	CHECK(after.failures > before.failures);
	CHECK_EQ(after.refused, before.refused);
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

/* All of it is needed. */
/* The heap's record of a GiB of addresses takes 4 MiB, which is more than this test leaves. Where the
   addresses that it is going to use are of two GiB, it starts anew, and the system puts it elsewhere. */
static void stay_in_one_gib(void)
{
	static char *const arguments[] = {"degrees", "evict-all", NULL};
	const size_t bytes = 100 * MIB;
	char *first = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(first != MAP_FAILED && munmap(first, bytes) == 0);
	if ((uintptr_t)(first - bytes) >> 30 != (uintptr_t)(first + 2 * bytes) >> 30)
		execv("/proc/self/exe", arguments);
}

static void evict_all(void)
{
	stay_in_one_gib();
	fill();
	for (size_t i = 0; i < COUNT(pages); i++)
		if (i % 32 != 0)
			dallocx(pages[i], MALLOCX_TCACHE_NONE);
	take(12 * MIB, 0);
	CHECK(after.heap_dirty <= 2 * MIB);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {{"flush", flush},
	                                          {"compact", compact},
	                                          {"borrow", borrow},
	                                          {"evict", evict},
	                                          {"evict-all", evict_all}};

	return check_main(argc, argv, cases, COUNT(cases));
}
