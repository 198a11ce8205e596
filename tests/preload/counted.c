/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What oomreclaim_headroom() takes for free in the heap, over what jemalloc says of each arena. Run
 * with limit:256M and several arenas, with muzzy pages.
 */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "je.h"
#include "oomreclaim.h"

#define PAGE 4096
#define THREADS 4
#define SLOTS 64
#define STEPS 4000
#define LOOKS 2000

static unsigned arenas, arena_left_out = UINT_MAX;

static size_t free_in(unsigned arena)
{
	char name[64];
	size_t dirty = 0, muzzy = 0, page, length = sizeof dirty;

	if (arena == arena_left_out)
		return 0;
	snprintf(name, sizeof name, "stats.arenas.%u.pdirty", arena);
	if (mallctl(name, &dirty, &length, NULL, 0) != 0)
		return 0;
	snprintf(name, sizeof name, "stats.arenas.%u.pmuzzy", arena);
	CHECK_EQ(mallctl(name, &muzzy, &length, NULL, 0), 0);
	JE_READ("arenas.page", &page);
	return (dirty + muzzy) * page;
}

static size_t free_in_all(void)
{
	uint64_t epoch = 1;
	size_t bytes = 0;

	JE_READ("opt.narenas", &arenas);
	CHECK_EQ(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
	for (unsigned i = 0; i < arenas; i++)
		bytes += free_in(i);
	return bytes;
}

static size_t free_by_headroom(void)
{
	struct oomreclaim_limit_stats stats;
	size_t headroom = oomreclaim_headroom(NULL);

	CHECK_EQ(oomreclaim_limit_stats(&stats, sizeof stats), 0);
	return headroom + stats.charged - stats.limit;
}

/* oomreclaimd may be giving something back at the very moment. */
static size_t check(void)
{
	size_t counted = 0, summed = 1;

	for (int i = 0; i < LOOKS && counted != summed; i++) {
		counted = free_by_headroom();
		summed = free_in_all();
		if (i > 0)
			usleep(1000);
	}
	CHECK_EQ(counted, summed);
	return counted;
}

static unsigned random_below(unsigned *state, unsigned bound)
{
	*state = *state * 1103515245 + 12345;
	return (*state >> 8) % bound;
}

/* Blocks of a page to 256 KiB come and go, in an arena of the thread's own. */
static void *churn(void *arg)
{
	unsigned arena = *(const unsigned *)arg, state = arena + 1;
	void *blocks[SLOTS] = {NULL};

	CHECK_EQ(mallctl("thread.arena", NULL, NULL, &arena, sizeof arena), 0);
	for (int i = 0; i < STEPS; i++) {
		unsigned slot = random_below(&state, SLOTS);

		free(blocks[slot]);
		blocks[slot] = malloc((size_t)PAGE << random_below(&state, 7));
		CHECK(blocks[slot] != NULL);
		if (i % 512 == 0)
			CHECK(oomreclaim_headroom(NULL) < 512 * MIB);
	}
	for (int i = 0; i < SLOTS; i++)
		free(blocks[i]);
	return NULL;
}

static void start_churning(pthread_t own[THREADS])
{
	static unsigned numbers[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		numbers[i] = i;
		CHECK_EQ(pthread_create(&own[i], NULL, churn, &numbers[i]), 0);
	}
}

static void end_churning(const pthread_t own[THREADS])
{
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(own[i], NULL), 0);
}

static void churn_all(void)
{
	pthread_t own[THREADS];

	start_churning(own);
	end_churning(own);
}

static void purge(const char *name)
{
	CHECK_EQ(mallctl(name, NULL, NULL, NULL, 0), 0);
}

/* Some arenas have free extents before anybody asks, others come later. */
static void threads(void)
{
	static unsigned first = 1;

	churn(&first);
	CHECK(check() > 0);
	churn_all();
	/* What the threads freed may have become an extent of 8 MiB, which goes at once. */
	dallocx(mallocx(3 * PAGE, MALLOCX_TCACHE_NONE), MALLOCX_TCACHE_NONE);
	CHECK(check() > 0);
	purge("arena.2.decay");
	check();
	purge("arena.1.purge");
	check();
	CHECK(oomreclaim_reclaim(MIB) == 0);
	check();
	churn_all();
	check();
}

static void child(void)
{
	pid_t pid;

	churn_all();
	check();
	pid = fork();
	if (pid == 0) {
		check();
		churn_all();
		check();
		_exit(0);
	}
	CHECK_EQ(check_child(pid), 0);
}

/* While the total is being begun, threads change what it is of. */
static void begun(void)
{
	pthread_t own[THREADS];

	start_churning(own);
	usleep(2000);
	oomreclaim_headroom(NULL);
	end_churning(own);
	check();
}

/* Run with RLIMIT_AS, which is met: a free extent is taken out, and grows where it lies. */
static void extended(void)
{
	struct pool pool = {0}, larger = {0};
	struct oomreclaim_limit_stats stats;

	oomreclaim_headroom(NULL);
	for (size_t mib = 3; mib < 11; mib += 2) {
		CHECK(pool_fill(&pool, MIB) > 0);
		pool_evict(&pool, 16 * MIB);
		CHECK(pool_fill(&larger, mib * MIB) > 0);
		pool_clear(&larger);
	}
	pool_clear(&pool);
	CHECK_EQ(oomreclaim_limit_stats(&stats, sizeof stats), 0);
	/* What is nearest then. */
	CHECK_EQ(oomreclaim_set_limit(stats.charged + MIB), 0);
	CHECK(check() > 0);
}

/* ---- Hooks of the program's ---- */

/* What is free in an arena that gets hooks is not the library's to give any more. */
static void hooks(void)
{
	static struct extent_hooks hooks = {.alloc = je_extent_map};
	struct extent_hooks *set = &hooks;
	unsigned arena = 2;

	churn_all();
	check();
	CHECK_EQ(mallctl("arena.2.extent_hooks", NULL, NULL, &set, sizeof set), 0);
	arena_left_out = 2;
	churn(&arena);
	purge("arena.2.purge");
	check();
	churn_all();
	check();
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"threads", threads}, {"child", child},       {"begun", begun},
		{"hooks", hooks},     {"extended", extended},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
