/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slabs that became free and are kept for the processor: who takes them again, and who gives them
 * back. jemalloc counts their pages as in use, so that count tells how many are kept.
 */
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "charged.h"
#include "check.h"
#include "je.h"
#include "oomreclaim.h"
#include "oomreclaim_group.h"
#include "two_processors.h"

enum {
	PAGE = 4096,
	LARGE_SLAB_PAGES = 7,
	SLABS = 400,   /* more than are kept */
	KEPT_MIN = 64, /* pages */
	KEPT_MAX = 160,
	BLOCK = 1024, /* 4 in a slab of one page */
	OTHER = 512,  /* another size with such slabs */
	SEVEN = 448,  /* 64 in a slab of 7 pages */
	ALSO_SEVEN = 224,
	BLOCKS_MAX = 4096,
	SMALL = 80, /* 256 in a slab of 5 pages; a cache takes 100 of them at a time */
	ALONE_BLOCKS = 150,
	SMALL_SLAB_PAGES = 5,
	SECONDS_MAX = 60,
	THREADS = 3,
	HOLE = 256,
	MANY_PAGES = 1024,
	FEW_PAGES = 48, /* too few to be looked at while memory is not short */
	SMALL_BEGUN = 200,
	FORKS = 300,
	GROUP_MAX = 4 << 20,
};

static char *blocks[BLOCKS_MAX];

static void flush(void)
{
	CHECK(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0);
}

static long pages_in_use(void)
{
	uint64_t epoch = 1;
	size_t pages;

	CHECK(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
	JE_READ("stats.arenas.0.pactive", &pages);
	return (long)pages;
}

static void take(size_t count, size_t bytes)
{
	for (size_t i = 0; i < count; i++) {
		blocks[i] = malloc(bytes);
		CHECK(blocks[i] != NULL);
		memset(blocks[i], 1, bytes);
	}
}

static void give(size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
	flush();
}

/* Slabs become free; the pages that are in use more than before. */
static long use_slabs(void)
{
	long before;

	flush();
	before = pages_in_use();
	take((size_t)SLABS * PAGE / BLOCK, BLOCK);
	give((size_t)SLABS * PAGE / BLOCK);
	return pages_in_use() - before;
}

/* The first use of each call is behind it. */
static void begin(void)
{
	take(64, BLOCK);
	give(64);
	pages_in_use();
	malloc_trim(0);
}

/* Slabs are kept; the pages that were in use before. */
static long begin_with_kept(void)
{
	long before;

	begin();
	before = pages_in_use();
	CHECK(use_slabs() >= KEPT_MIN);
	return before;
}

static void keeps(void)
{
	long before = begin_with_kept();

	CHECK(pages_in_use() <= before + KEPT_MAX);
	/* Blocks of another size take the same pages. */
	before = pages_in_use();
	take((size_t)KEPT_MIN / 2 * PAGE / OTHER, OTHER);
	for (size_t i = 0; i < (size_t)KEPT_MIN / 2 * PAGE / OTHER; i++)
		CHECK_EQ(malloc_usable_size(blocks[i]), OTHER);
	CHECK(pages_in_use() <= before + KEPT_MIN / 8);
	give((size_t)KEPT_MIN / 2 * PAGE / OTHER);
	CHECK(pages_in_use() <= before + KEPT_MIN / 8);
}

/* Each page of a slab tells the size of its blocks. */
static void large_slabs(void)
{
	const size_t count = 1024;
	long before, kept;

	begin();
	before = pages_in_use();
	take(count, SEVEN);
	give(count);
	kept = pages_in_use() - before;
	CHECK(kept >= (long)LARGE_SLAB_PAGES);
	take(count, ALSO_SEVEN);
	for (size_t i = 0; i < count; i++)
		CHECK_EQ(malloc_usable_size(blocks[i]), ALSO_SEVEN);
	CHECK(pages_in_use() <=
	      before + kept + (long)(count * ALSO_SEVEN / PAGE) - (long)LARGE_SLAB_PAGES);
	give(count);
}

/* ---- Who empties the lists ---- */

static void is_back(long before)
{
	CHECK(pages_in_use() <= before + KEPT_MIN / 8);
}

static void trimmed(void)
{
	long before = begin_with_kept();

	malloc_trim(0);
	is_back(before);
	/* That was not for good. */
	CHECK(use_slabs() >= KEPT_MIN);
	CHECK(mallctl("arena.0.purge", NULL, NULL, NULL, 0) == 0);
	is_back(before);
	CHECK(use_slabs() >= KEPT_MIN);
	oomreclaim_reclaim(PAGE);
	is_back(before);
}

static void limited(void)
{
	long before = begin_with_kept();

	oomreclaim_set_limit(charged() - (size_t)KEPT_MIN / 2 * PAGE);
	is_back(before);
}

/* What nobody wanted for a second: once it is looked at to begin with, and once more. */
static void decays(void)
{
	const struct timespec second = {.tv_sec = 1, .tv_nsec = 100 * 1000 * 1000};
	long before = begin_with_kept();

	for (size_t i = 0; i < 2; i++) {
		nanosleep(&second, NULL);
		CHECK(mallctl("arena.0.decay", NULL, NULL, NULL, 0) == 0);
	}
	is_back(before);
}

/* What nobody wants goes in time, by threads that do not use slabs. */
static void idle(void)
{
	time_t end = time(NULL) + SECONDS_MAX;
	long before = begin_with_kept();

	while (pages_in_use() > before + KEPT_MIN / 8 && time(NULL) < end)
		for (size_t i = 0; i < 10000; i++)
			free(malloc(BLOCK));
	is_back(before);
}

static void fail_once(void)
{
	space_limit(0);
	CHECK(malloc(8 * MIB) == NULL);
	space_limit(SIZE_MAX);
}

/* From the first failure on nothing is kept. */
static void in_short(void)
{
	long before = begin_with_kept();

	fail_once();
	is_back(before);
	CHECK(use_slabs() < KEPT_MIN / 8);
}

/* Nor from when the program asks how much room there is. */
static void asked(void)
{
	long before = begin_with_kept();

	CHECK(oomreclaim_headroom(NULL) > 0);
	/* The thread that looks for room takes some pages. */
	CHECK(pages_in_use() <= before + KEPT_MIN / 2);
	CHECK(use_slabs() < KEPT_MIN / 8);
}

static void none(void)
{
	begin();
	CHECK(use_slabs() < KEPT_MIN / 8);
}

/* An arena with hooks of the program's own. */
static void hooks(void)
{
	static struct {
		void *calls[9];
	} own, *of_jemalloc, *set = &own;
	size_t length = sizeof of_jemalloc;

	CHECK(mallctl("arena.0.extent_hooks", &of_jemalloc, &length, NULL, 0) == 0);
	own = *of_jemalloc;
	CHECK(mallctl("arena.0.extent_hooks", NULL, NULL, &set, sizeof set) == 0);
	none();
}

/* What is freed inside a group is there for the next block. */
static void in_group(void)
{
	const size_t count = (size_t)GROUP_MAX / 8 * 5 / BLOCK;
	oomreclaim_group group;
	void *large;

	CHECK_EQ(oomreclaim_group_create("slabs", OOMRECLAIM_GROUP_ROOT, &group), 0);
	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_MAX, GROUP_MAX), 0);
	oomreclaim_group_enter(group);
	CHECK(count <= BLOCKS_MAX);
	take(count, BLOCK);
	give(count);
	large = malloc((size_t)GROUP_MAX / 8 * 7);
	CHECK(large != NULL);
	free(large);
	oomreclaim_group_enter(OOMRECLAIM_GROUP_ROOT);
	CHECK(use_slabs() >= KEPT_MIN);
}

/* ---- Threads ---- */

static void on_processor(size_t processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	CHECK(sched_setaffinity(0, sizeof set, &set) == 0);
}

static pthread_barrier_t barrier;

static void *take_one(void *arg)
{
	free(malloc(1));
	return arg;
}

/* Each thread has half of the blocks, on a processor of its own. */
static void *take_half(void *arg)
{
	const size_t half = BLOCKS_MAX / 2, first = arg == NULL ? 0 : half;

	on_processor(arg == NULL ? 0 : 1);
	free(malloc(1));
	if (arg == NULL)
		pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	for (size_t i = first; i < first + half; i++)
		CHECK((blocks[i] = malloc(SMALL)) != NULL);
	pthread_barrier_wait(&barrier);
	return NULL;
}

static bool is_same_page(const char *one, const char *other)
{
	return ((uintptr_t)one ^ (uintptr_t)other) < PAGE;
}

/* The blocks of two processors are in no page that is the same. */
static void processors(void)
{
	const size_t half = BLOCKS_MAX / 2;
	pthread_t threads[2], between;

	CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
	CHECK(pthread_create(&threads[0], NULL, take_half, NULL) == 0);
	pthread_barrier_wait(&barrier);
	/* By their numbers the two would share slabs: another thread comes between. */
	CHECK(pthread_create(&between, NULL, take_one, NULL) == 0);
	CHECK(pthread_join(between, NULL) == 0);
	CHECK(pthread_create(&threads[1], NULL, take_half, &barrier) == 0);
	for (size_t i = 0; i < 2; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	for (size_t i = 0; i < half; i++)
		for (size_t j = half; j < 2 * half; j++)
			CHECK(!is_same_page(blocks[i], blocks[j]));
}

/* Holes in the slabs of one processor are used on another, where slabs of its own have less room
   than is wanted at a time as well. */
static struct {
	size_t bytes, begun, count;
} wanted;

static void *fill_holes(void *arg)
{
	on_processor(1);
	free(malloc(1));
	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < wanted.begun; i++)
		CHECK(malloc(wanted.bytes) != NULL);
	flush();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < wanted.count; i++)
		CHECK(malloc(wanted.bytes) != NULL);
	flush();
	return arg;
}

/* Of so many pages in slabs, three of four blocks are freed and taken again; the pages that it took
   then. */
static long holes_of(size_t bytes, size_t begun, size_t pages)
{
	size_t count = pages * PAGE / bytes;
	char **own = calloc(count, sizeof *own);
	pthread_t thread;
	long before;

	CHECK(own != NULL);
	wanted.bytes = bytes;
	wanted.begun = begun;
	wanted.count = count / 4 * 3;
	on_processor(0);
	CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
	CHECK(pthread_create(&thread, NULL, fill_holes, NULL) == 0);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < count; i++)
		CHECK((own[i] = malloc(bytes)) != NULL);
	for (size_t i = 0; i < count; i++)
		if (i % 4 != 0)
			free(own[i]);
	flush();
	before = pages_in_use();
	pthread_barrier_wait(&barrier);
	CHECK(pthread_join(thread, NULL) == 0);
	return pages_in_use() - before;
}

static void holes(void)
{
	CHECK(holes_of(HOLE, 0, MANY_PAGES) < MANY_PAGES / 8);
}

static void holes_begun(void)
{
	CHECK(holes_of(SMALL, SMALL_BEGUN, MANY_PAGES) < MANY_PAGES / 16);
}

/* While memory is not short a processor leaves some holes to the others. */
static void few_holes(void)
{
	CHECK(holes_of(HOLE, 0, FEW_PAGES) >= FEW_PAGES / 2);
}

static void holes_short(void)
{
	fail_once();
	CHECK(holes_of(HOLE, 0, FEW_PAGES) < FEW_PAGES / 2);
}

/* What another processor frees is there for the one that took it. */
static void *free_all(void *arg)
{
	on_processor(1);
	free(malloc(1));
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	give((size_t)KEPT_MIN * PAGE / BLOCK);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return arg;
}

static void owner(void)
{
	pthread_t thread;
	long before;

	begin();
	on_processor(0);
	CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
	CHECK(pthread_create(&thread, NULL, free_all, NULL) == 0);
	pthread_barrier_wait(&barrier);
	take((size_t)KEPT_MIN * PAGE / BLOCK, BLOCK);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	before = pages_in_use();
	take((size_t)KEPT_MIN / 2 * PAGE / BLOCK, BLOCK);
	CHECK(pages_in_use() <= before + KEPT_MIN / 8);
	pthread_barrier_wait(&barrier);
	CHECK(pthread_join(thread, NULL) == 0);
}

/* What jemalloc is told at run time. */
static void late(void)
{
	bool is_set = true;
	ssize_t at_once = 0;
	size_t dirty;
	long before = begin_with_kept();

	CHECK(mallctl("background_thread", NULL, NULL, &is_set, sizeof is_set) == 0);
	/* The threads have records. */
	CHECK(pages_in_use() <= before + KEPT_MIN / 2);
	is_set = false;
	CHECK(mallctl("background_thread", NULL, NULL, &is_set, sizeof is_set) == 0);
	malloc_trim(0);
	before = pages_in_use();
	CHECK(use_slabs() >= KEPT_MIN);
	CHECK(mallctl("arena.0.dirty_decay_ms", NULL, NULL, &at_once, sizeof at_once) == 0);
	is_back(before);
	JE_READ("stats.arenas.0.pdirty", &dirty);
	CHECK_EQ(dirty, 0);
}

/* A thread that is alone goes on with its slab wherever it runs. */
static void alone(void)
{
	uintptr_t least = UINTPTR_MAX, most = 0;

	begin();
	for (size_t i = 0; i < ALONE_BLOCKS; i++) {
		uintptr_t at;

		on_processor(i < ALONE_BLOCKS / 2 ? 0 : 1);
		at = (uintptr_t)malloc(SMALL);
		CHECK(at != 0);
		least = at < least ? at : least;
		most = at > most ? at : most;
	}
	CHECK(most - least < (uintptr_t)SMALL_SLAB_PAGES * PAGE);
}

static atomic_bool has_ended;

static void *use_all_the_time(void *arg)
{
	void *own[64];

	while (!atomic_load(&has_ended)) {
		for (size_t i = 0; i < COUNT(own); i++)
			CHECK((own[i] = mallocx(BLOCK, MALLOCX_TCACHE_NONE)) != NULL);
		for (size_t i = 0; i < COUNT(own); i++)
			dallocx(own[i], MALLOCX_TCACHE_NONE);
	}
	return arg;
}

/* A child that is made in the middle of it has whole lists, and takes them back. */
static void forks(void)
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, use_all_the_time, NULL) == 0);
	for (size_t i = 0; i < FORKS; i++) {
		pid_t child = fork();

		CHECK(child >= 0);
		if (child == 0) {
			alarm(SECONDS_MAX);
			malloc_trim(0);
			CHECK(use_slabs() >= KEPT_MIN);
			_exit(0);
		}
		CHECK_EQ(check_child(child), 0);
	}
	atomic_store(&has_ended, true);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"keeps", keeps},
		{"large", large_slabs},
		{"trimmed", trimmed},
		{"limited", limited},
		{"decays", decays},
		{"idle", idle},
		{"short", in_short},
		{"asked", asked},
		{"none", none},
		{"hooks", hooks},
		{"group", in_group},
		{"processors", processors},
		{"holes", holes},
		{"holes-begun", holes_begun},
		{"owner", owner},
		{"few-holes", few_holes},
		{"holes-short", holes_short},
		{"late", late},
		{"alone", alone},
		{"forks", forks},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
