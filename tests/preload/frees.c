/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that free and never allocate. One that frees many blocks puts them into a cache, which is
 * taken down at its end; but not where a cache can't be had, and where nothing would take it down.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "bin_stats.h"
#include "check.h"
#include "je.h"

/* C++'s, by its mangled name. */
void delete_sized(void *memory, size_t size) __asm__("_ZdlPvm") __attribute__((weak));

/* Blocks in use, and those in the caches of other threads. */
static uint64_t in_use(size_t bytes)
{
	return of_bin(bytes, "stats.arenas.0.bins.0.curregs");
}

enum {
	ALONE_BYTES = 96,
	FEW = 1000,
	CACHED = 75, /* or more, of MANY */
	MANY = 1200,
	INSIDE = 1100 /* of MANY */
};

struct freer {
	void (*free_one)(void *block);
	unsigned count; /* of the blocks that it frees */
	void *blocks[MANY];
	pthread_barrier_t has_freed, may_end;
};

static void by_free(void *block)
{
	free(block);
}

static void by_delete_sized(void *block)
{
	delete_sized(block, ALONE_BYTES);
}

static void by_dallocx(void *block)
{
	dallocx(block, 0);
}

static void by_sdallocx(void *block)
{
	sdallocx(block, ALONE_BYTES, 0);
}

static struct freer *current;

static void *free_alone(void *arg)
{
	struct freer *freer = arg;

	for (unsigned i = 0; i < freer->count; i++)
		freer->free_one(freer->blocks[i]);
	pthread_barrier_wait(&freer->has_freed);
	pthread_barrier_wait(&freer->may_end);
	return NULL;
}

/* How many of `count` blocks are in the cache of the thread that has freed them. When the thread
   has ended there is none. */
static uint64_t cached_of(unsigned count, void (*free_one)(void *block))
{
	struct freer freer = {.free_one = free_one, .count = count};
	uint64_t before = in_use(ALONE_BYTES), cached;
	pthread_t thread;

	current = &freer;
	CHECK(pthread_barrier_init(&freer.has_freed, NULL, 2) == 0);
	CHECK(pthread_barrier_init(&freer.may_end, NULL, 2) == 0);
	for (unsigned i = 0; i < count; i++)
		CHECK((freer.blocks[i] = malloc(ALONE_BYTES)));
	CHECK(pthread_create(&thread, NULL, free_alone, &freer) == 0);
	pthread_barrier_wait(&freer.has_freed);
	cached = in_use(ALONE_BYTES) - before;
	pthread_barrier_wait(&freer.may_end);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK_EQ(in_use(ALONE_BYTES), before);
	return cached;
}

/* Without a cache each block goes back under its bin's lock, which other threads wait for. With one
   a thread that frees a few blocks would take more memory than it gives back. */
static void alone(void)
{
	static void (*const ways[])(void *block) = {by_free, by_delete_sized, by_dallocx,
	                                            by_sdallocx};

	for (size_t i = 0; i < COUNT(ways); i++) {
		CHECK_EQ(cached_of(FEW, ways[i]), 0);
		CHECK(cached_of(MANY, ways[i]) >= CACHED);
	}
}

/* Where each processor has an arena, and where faults are injected. */
static void uncached(void)
{
	CHECK_EQ(cached_of(MANY, by_free), 0);
}

/* Run with narenas:4 and background threads. glibc frees under the lock that pthread_create()
   takes: no arena is made then, as a thread would come with it. */
static void arenas(void)
{
	bool is_made[3];

	CHECK(cached_of(MANY, by_free) >= CACHED);
	JE_READ("arena.1.initialized", &is_made[0]);
	JE_READ("arena.2.initialized", &is_made[1]);
	JE_READ("arena.3.initialized", &is_made[2]);
	CHECK(!is_made[0] && !is_made[1] && !is_made[2]);
}

static void *large; /* of an arena that has hooks */

static bool free_all(struct extent_hooks *hooks, void *at, size_t bytes, bool commit,
                     unsigned arena)
{
	(void)hooks, (void)at, (void)bytes, (void)commit, (void)arena;
	for (unsigned i = 0; large != NULL && i < INSIDE; i++)
		free(current->blocks[i]);
	large = NULL;
	return true;
}

/* Most of them are freed with the first, inside of the heap. */
static void by_hook(void *block)
{
	static unsigned calls;

	if (calls == 0)
		dallocx(large, MALLOCX_TCACHE_NONE);
	else if (calls >= INSIDE)
		free(block);
	calls++;
}

static void inside(void)
{
	struct extent_hooks hooks = {.alloc = je_extent_map, .dalloc = free_all}, *to_set = &hooks;
	size_t length = sizeof(unsigned);
	ssize_t at_once = 0;
	unsigned arena;
	char name[64];

	CHECK(mallctl("arenas.create", &arena, &length, &to_set, sizeof(to_set)) == 0);
	snprintf(name, sizeof(name), "arena.%u.dirty_decay_ms", arena);
	CHECK(mallctl(name, NULL, NULL, &at_once, sizeof(at_once)) == 0);
	snprintf(name, sizeof(name), "arena.%u.muzzy_decay_ms", arena);
	CHECK(mallctl(name, NULL, NULL, &at_once, sizeof(at_once)) == 0);
	CHECK((large = mallocx(MIB, MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE)));
	CHECK_EQ(cached_of(MANY, by_hook), 0);
	CHECK(!large);
}

/* ---- Behind a thread's last destructor ---- */

/* glibc keeps the stacks of threads that have ended. A detached thread with a stack for which there
   is no room beside these gives them all back at its own end, and frees two blocks and more for
   each. What the heap sets up for the thread at that time would never be taken down. */
enum {
	STACKS = 1200,
	SMALL = 24 << 10, /* all of them fit among those that are kept, 40 MiB */
	BIG = 64 << 20,
	OTHERS = 8,
	PATIENCE_US = 200000
};

static pthread_barrier_t all_run;

static void *meet(void *arg)
{
	pthread_barrier_wait(&all_run);
	return arg;
}

static void *call_no_heap(void *arg)
{
	return arg;
}

static void *allocate(void *arg)
{
	free(malloc(100));
	return arg;
}

static pthread_t start(size_t stack, bool is_detached, void *(*function)(void *))
{
	pthread_attr_t attr;
	pthread_t thread;

	CHECK(pthread_attr_init(&attr) == 0);
	CHECK(pthread_attr_setstacksize(&attr, stack) == 0);
	if (is_detached)
		CHECK(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0);
	CHECK(pthread_create(&thread, &attr, function, NULL) == 0);
	pthread_attr_destroy(&attr);
	return thread;
}

static void stacks(void)
{
	static pthread_t threads[STACKS];

	CHECK(pthread_barrier_init(&all_run, NULL, STACKS) == 0);
	for (size_t i = 0; i < STACKS; i++)
		threads[i] = start(SMALL, false, meet);
	for (size_t i = 0; i < STACKS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	/* The second finds the first one's stack kept. */
	for (size_t i = 0; i < 2; i++) {
		start(BIG, true, call_no_heap);
		usleep(PATIENCE_US);
	}
	/* A new thread is put into the heap's list of threads. */
	for (size_t i = 0; i < OTHERS; i++)
		CHECK(pthread_join(start(SMALL, false, allocate), NULL) == 0);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"alone", alone},   {"uncached", uncached}, {"inside", inside},
		{"arenas", arenas}, {"late", stacks},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
