/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that meet in an arena. New threads share one; a thread that waits much for the arena's
 * locks is given another, and so is one of two that live on large blocks; and threads that begin
 * with freeing small blocks of one line of the processor's cache get no new ones there. The program
 * exports sched_getaffinity(), by which the heap counts processors: there are two.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "je.h"
#include "oomreclaim.h"
#include "two_processors.h"

enum {
	THREADS = 4,
	SECONDS_MAX = 200,   /* for a thread to be given another arena */
	SECONDS_STAYING = 5, /* in which one would have been */
	BURST = 64,
	BLOCK = 24 << 10, /* cached, but fewer of them than a burst has */
	LINE = 64,
	LARGE = 512 << 10,
	SMALLER = 64 << 10,
	CACHED = 4 << 10,
	TURN_BYTES = 40 << 20, /* more than those by which the heap judges */
	TURNS = 200,
	TURNS_MAX = 20000,
	FEW_TURNS = 10,
	PAUSE_US = 2000,
	ROOM = 60 << 20, /* less than what an arena is made for */
};

static pthread_barrier_t barrier;
static atomic_bool has_moved;
static bool is_bound;
static unsigned first_arenas[THREADS];
static char *given[THREADS]; /* side by side, by the main thread */
static size_t given_bytes;

static unsigned own_arena(void)
{
	unsigned arena;

	JE_READ("thread.arena", &arena);
	return arena;
}

static void set_arena(unsigned arena)
{
	CHECK(mallctl("thread.arena", NULL, NULL, &arena, sizeof(arena)) == 0);
}

/* The heap chooses the arena; where the threads are bound, the program does, although it is the
   same. */
static unsigned begin(void)
{
	unsigned arena;

	free(malloc(1));
	arena = own_arena();
	if (is_bound) {
		set_arena(1);
		set_arena(0);
	}
	return arena;
}

static void burst(void)
{
	void *blocks[BURST];

	for (size_t i = 0; i < BURST; i++) {
		blocks[i] = malloc(BLOCK);
		CHECK(blocks[i]);
	}
	for (size_t i = 0; i < BURST; i++)
		free(blocks[i]);
}

static void *contend(void *arg)
{
	unsigned *first = arg;
	time_t end = time(NULL) + (is_bound ? SECONDS_STAYING : SECONDS_MAX);

	*first = begin();
	pthread_barrier_wait(&barrier);
	while (!atomic_load(&has_moved) && time(NULL) < end) {
		burst();
		if (own_arena() != (is_bound ? 0 : *first))
			atomic_store(&has_moved, true);
	}
	return NULL;
}

static void run(void *(*body)(void *), void *args, size_t step)
{
	pthread_t threads[THREADS];

	CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, body, (char *)args + i * step) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static void moves(void)
{
	run(contend, first_arenas, sizeof(first_arenas[0]));
	for (size_t i = 0; i < THREADS; i++)
		CHECK_EQ(first_arenas[i], 0);
	CHECK(atomic_load(&has_moved));
}

static void stays(void)
{
	is_bound = true;
	run(contend, first_arenas, sizeof(first_arenas[0]));
	CHECK(!atomic_load(&has_moved));
}

/* ---- Large blocks: two threads that take them in turns, and so wait for none of the arena's locks
   ---- */

static struct {
	size_t bytes;
	unsigned turns; /* at most, until one has moved */
	bool pauses;
} living;

static void take_some(void)
{
	for (size_t taken = 0; taken < TURN_BYTES; taken += living.bytes) {
		char *block = malloc(living.bytes);

		CHECK(block);
		free(block);
		if (living.pauses)
			usleep(PAUSE_US);
	}
}

static void *take_turns(void *arg)
{
	unsigned *first = arg;
	size_t own = (size_t)(first - first_arenas);

	*first = begin();
	for (unsigned turn = 0; turn < living.turns && !atomic_load(&has_moved); turn++) {
		pthread_barrier_wait(&barrier);
		if (turn % 2 == own) {
			take_some();
			if (own_arena() != *first)
				atomic_store(&has_moved, true);
		}
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

static bool moves_with(size_t bytes, unsigned turns)
{
	living.bytes = bytes;
	living.turns = turns;
	run(take_turns, first_arenas, sizeof(first_arenas[0]));
	return atomic_load(&has_moved);
}

static void large(void)
{
	CHECK(moves_with(LARGE, TURNS_MAX));
}

static void very_large(void)
{
	CHECK(!moves_with(8 * LARGE, TURNS));
}

static void bound(void)
{
	is_bound = true;
	CHECK(!moves_with(LARGE, TURNS));
}

/* Another arena would take from what little is left. */
static void little_room(void)
{
	oomreclaim_set_limit(ROOM);
	CHECK(!moves_with(LARGE, TURNS));
}

static void seldom(void)
{
	living.pauses = true;
	CHECK(!moves_with(LARGE, FEW_TURNS));
}

static void smaller(void)
{
	CHECK(!moves_with(SMALLER, TURNS));
}

static void cached(void)
{
	CHECK(!moves_with(CACHED, TURNS));
}

static void *live_alone(void *arg)
{
	for (unsigned turn = 0; turn < TURNS; turn++)
		take_some();
	CHECK_EQ(own_arena(), 0);
	return arg;
}

/* With the main thread in the same arena, but nobody to give a block to. */
static void alone(void)
{
	pthread_t thread;

	living.bytes = LARGE;
	free(malloc(1));
	CHECK(pthread_create(&thread, NULL, live_alone, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

static void *say_arena(void *arg)
{
	free(malloc(1));
	*(unsigned *)arg = own_arena();
	pthread_barrier_wait(&barrier);
	return NULL;
}

/* MALLOC_CONF=narenas:2 is the user's: jemalloc spreads new threads over both. */
static void spreads(void)
{
	unsigned in_second = 0;

	run(say_arena, first_arenas, sizeof(first_arenas[0]));
	for (size_t i = 0; i < THREADS; i++)
		in_second += first_arenas[i] == 1;
	CHECK(in_second > 0);
}

static void *exchange(void *arg)
{
	char **block = arg;

	/* The thread's first call: it has no cache yet, and the block goes back to its slab. */
	free(*block);
	*block = malloc(given_bytes);
	CHECK(*block);
	return NULL;
}

static void takes_lines_of(size_t size)
{
	pthread_t thread;

	given_bytes = size;
	for (size_t i = 0; i < THREADS; i++) {
		given[i] = malloc(size);
		CHECK(given[i]);
	}
	/* One after the other: the second frees a place beside the block that the first one has
	   got. */
	for (size_t i = 0; i < THREADS; i++) {
		CHECK(pthread_create(&thread, NULL, exchange, &given[i]) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
	}
	for (size_t i = 0; i < THREADS; i++)
		for (size_t j = 0; j < i; j++)
			CHECK((uintptr_t)given[i] / LINE != (uintptr_t)given[j] / LINE);
	for (size_t i = 0; i < THREADS; i++)
		free(given[i]);
}

static void lines(void)
{
	takes_lines_of(8);
	takes_lines_of(16);
	takes_lines_of(32);
	takes_lines_of(48);
}

enum { SMALL = 32, SMALL_BLOCKS = 400000 };

static void *take_small(void *arg)
{
	void *block = malloc(1);

	/* The main thread sets the limit. */
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < SMALL_BLOCKS / 8; i++)
		CHECK(malloc(SMALL));
	free(block);
	return arg;
}

/* What is free in slabs of one thread's serves another thread that has no other memory. */
static void lends(void)
{
	static void *blocks[SMALL_BLOCKS];
	pthread_t thread;

	CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
	CHECK(pthread_create(&thread, NULL, take_small, NULL) == 0);
	for (size_t i = 0; i < SMALL_BLOCKS; i++) {
		blocks[i] = mallocx(SMALL, MALLOCX_TCACHE_NONE);
		CHECK(blocks[i]);
	}
	for (size_t i = 0; i < SMALL_BLOCKS; i += 2)
		dallocx(blocks[i], MALLOCX_TCACHE_NONE);
	pthread_barrier_wait(&barrier);
	oomreclaim_set_limit(1 << 20);
	pthread_barrier_wait(&barrier);
	CHECK(pthread_join(thread, NULL) == 0);
}

static const struct {
	const char *name;
	void (*run)(void);
} parts[] = {
	{"moves", moves},           {"stays", stays},
	{"large", large},           {"seldom", seldom},
	{"cached", cached},         {"smaller", smaller},
	{"very-large", very_large}, {"little-room", little_room},
	{"bound", bound},           {"alone", alone},
	{"lines", lines},           {"lends", lends},
	{"spreads", spreads},
};

int main(int argc, char **argv)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		fprintf(stderr, "contention: one processor, where threads seldom wait\n");
		return 77;
	}
	CHECK(argc == 2);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strcmp(argv[1], parts[i].name)) {
			parts[i].run();
			return 0;
		}
	return 2;
}
