/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the ladder itself costs, from malloc's failure to its success. A line of JSON for each thing
 * that is varied: {"kind": ..., "number": ..., "us": [one figure for each repetition]}.
 *
 *     OOMRECLAIM_CONF=limit:64G ladder [REPETITIONS]
 *
 * The budget is set just above what is mapped, so that a block of 16 MiB meets it; the callback
 * that is asked last lifts it and says so. There is nothing to free: what is timed is the way, not
 * the work. "no failure" is the same malloc without a budget in its way.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "oomreclaim.h"

enum {
	/* Larger than what jemalloc keeps in an arena: mapped anew each time, unmapped when
	   freed. */
	BLOCK_BYTES = 16 << 20,
	SLACK_BYTES = 1 << 20,
	BALLAST_BYTES = 64 << 20,
	CALLBACKS_MAX = 1000,
	THREADS_MAX = 64,
	HOLE_BYTES = 64 << 10,
	HOLES_PER_MIB = (1 << 20) / HOLE_BYTES,
	STACK_BYTES = 128 << 10,
	WORK_US = 1000, /* what the callback takes where threads share it */
	REPETITIONS_MAX = 1000
};

static const size_t roomy = (size_t)64 << 30;

static oomreclaim_handle handles[CALLBACKS_MAX]; /* registered now */
static double samples[REPETITIONS_MAX];          /* static: not in the heap that is measured */
static unsigned repetitions = 101;               /* constant once main() has read it */
static unsigned work_us;                         /* what lift() takes; set between the runs */
static pthread_barrier_t gate;                   /* of the threads that fail at once */
static atomic_bool is_over;                      /* the disturbed thread is to end */

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void die(const char *what)
{
	fprintf(stderr, "ladder: %s\n", what);
	exit(1);
}

static size_t give_nothing(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	return 0;
}

static size_t lift(const struct oomreclaim_control *control, void *arg)
{
	double end = now_us() + work_us;

	(void)arg;
	while (work_us && now_us() < end)
		;
	oomreclaim_set_limit(roomy);
	return control->bytes_wanted;
}

static void lower(void)
{
	struct oomreclaim_limit_stats stats;

	if (oomreclaim_limit_stats(&stats, sizeof(stats)))
		die("no statistics of the budget");
	oomreclaim_set_limit(stats.charged + SLACK_BYTES);
}

static void print(const char *kind, size_t number, unsigned count)
{
	printf("{\"kind\": \"%s\", \"number\": %zu, \"us\": [", kind, number);
	for (unsigned i = 0; i < count; i++)
		printf("%s%.2f", i ? ", " : "", samples[i]);
	printf("]}\n");
	fflush(stdout);
}

static double time_block(void)
{
	double start = now_us(), taken;
	void *volatile block = malloc(BLOCK_BYTES); /* volatile: not optimised away */

	taken = now_us() - start;
	if (!block)
		die("the callback did not help");
	free(block);
	return taken;
}

static void time_failures(const char *kind, size_t number)
{
	for (unsigned i = 0; i < repetitions; i++) {
		lower();
		samples[i] = time_block();
	}
	print(kind, number, repetitions);
}

static void time_no_failure(void)
{
	for (unsigned i = 0; i < repetitions; i++)
		samples[i] = time_block();
	print("no failure", 1, repetitions);
}

static void register_one(unsigned i, int priority, oomreclaim_callback *function)
{
	if (oomreclaim_register("bench", priority, 0, function, NULL, &handles[i]))
		die("cannot register");
}

/* N callbacks: the last one gives, the others are asked in vain. */
static void vary_callbacks(void)
{
	static const unsigned numbers[] = {1, 10, 100, 1000};

	for (size_t n = 0; n < sizeof(numbers) / sizeof(*numbers); n++) {
		register_one(0, OOMRECLAIM_PRIORITY_DEFAULT - 1, lift);
		for (unsigned i = 1; i < numbers[n]; i++)
			register_one(i, OOMRECLAIM_PRIORITY_DEFAULT, give_nothing);
		time_failures("callbacks", numbers[n]);
		for (unsigned i = 0; i < numbers[n]; i++)
			oomreclaim_unregister(handles[i]);
	}
}

/* A heap of N MiB in blocks of 16 KiB that nobody has touched: mapped, but not resident. */
static void vary_heap(void)
{
	static const size_t numbers[] = {128, 512, 2048, 8192};
	void **last = NULL;
	size_t mib = 0;

	register_one(0, OOMRECLAIM_PRIORITY_DEFAULT, lift);
	oomreclaim_set_limit(roomy);
	for (size_t n = 0; n < sizeof(numbers) / sizeof(*numbers); n++) {
		for (; mib < numbers[n]; mib++)
			for (int i = 0; i < 64; i++) {
				void **block = malloc(16 << 10);

				if (!block)
					die("no memory for the heap");
				*block = (void *)last;
				last = block;
			}
		time_failures("MiB of heap", numbers[n]);
	}
	while (last) {
		void **next = (void **)*last;

		free(last);
		last = next;
	}
	oomreclaim_unregister(handles[0]);
}

/* Every other one is freed: what coalesces to 8 MiB jemalloc gives back by itself. */
static void make_holes(void **blocks, size_t count)
{
	for (size_t b = 0; b < count; b++) {
		blocks[b] = malloc(HOLE_BYTES);
		if (!blocks[b])
			die("no memory for the blocks");
		memset(blocks[b], 1, HOLE_BYTES);
	}
	for (size_t b = 1; b < count; b += 2)
		free(blocks[b]);
}

/* MiB that are freed but dirty: rung 3 gives them back, and needs nobody. */
static void vary_dirty(void)
{
	static const size_t numbers[] = {32, 128, 512};
	static void *blocks[512 * HOLES_PER_MIB * 2];

	for (size_t n = 0; n < sizeof(numbers) / sizeof(*numbers); n++) {
		size_t count = numbers[n] * HOLES_PER_MIB * 2;
		unsigned rounds = repetitions < 11 ? repetitions : 11;

		for (unsigned i = 0; i < rounds; i++) {
			make_holes(blocks, count);
			lower();
			samples[i] = time_block();
			oomreclaim_set_limit(roomy);
			for (size_t b = 0; b < count; b += 2)
				free(blocks[b]);
		}
		print("MiB dirty, purged", numbers[n], rounds);
	}
}

static void *fail_at_once(void *arg)
{
	double *taken = arg;

	free(malloc(64));
	for (unsigned i = 0; i < repetitions; i++) {
		pthread_barrier_wait(&gate); /* until the limit is lowered */
		*taken = time_block();
		pthread_barrier_wait(&gate);
	}
	return NULL;
}

/* Until the last of N threads has its block, where the callback takes a millisecond. */
static void vary_threads(void)
{
	static const unsigned numbers[] = {1, 4, 16, 64};
	static pthread_t ids[THREADS_MAX];
	static double taken[THREADS_MAX];
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	register_one(0, OOMRECLAIM_PRIORITY_DEFAULT, lift);
	work_us = WORK_US;
	for (size_t n = 0; n < sizeof(numbers) / sizeof(*numbers); n++) {
		oomreclaim_set_limit(roomy);
		pthread_barrier_init(&gate, NULL, numbers[n] + 1);
		for (unsigned i = 0; i < numbers[n]; i++)
			if (pthread_create(&ids[i], &attr, fail_at_once, &taken[i]))
				die("cannot start the threads");
		for (unsigned i = 0; i < repetitions; i++) {
			lower();
			pthread_barrier_wait(&gate);
			pthread_barrier_wait(&gate);
			samples[i] = 0;
			for (unsigned t = 0; t < numbers[n]; t++)
				samples[i] = taken[t] > samples[i] ? taken[t] : samples[i];
		}
		for (unsigned i = 0; i < numbers[n]; i++)
			pthread_join(ids[i], NULL);
		pthread_barrier_destroy(&gate);
		print("threads at once, 1 ms of callback", numbers[n], repetitions);
	}
	work_us = 0;
	oomreclaim_unregister(handles[0]);
}

static void *reclaim_on_and_on(void *arg)
{
	(void)arg;
	while (!atomic_load(&is_over)) {
		lower();
		time_block();
	}
	return NULL;
}

/* A thousand pairs of malloc(64) and free at a time, of a thread that has nothing to do with it. */
static void time_pairs(const char *kind)
{
	for (unsigned i = 0; i < repetitions; i++) {
		double start = now_us();

		for (int pair = 0; pair < 1000; pair++) {
			void *volatile block = malloc(64);

			free(block);
		}
		samples[i] = now_us() - start;
	}
	print(kind, 1000, repetitions);
}

static void time_disturbance(void)
{
	pthread_t id;

	oomreclaim_set_limit(roomy);
	time_pairs("pairs, undisturbed");
	register_one(0, OOMRECLAIM_PRIORITY_DEFAULT, lift);
	if (pthread_create(&id, NULL, reclaim_on_and_on, NULL))
		die("cannot start a thread");
	time_pairs("pairs while another thread reclaims");
	atomic_store(&is_over, true);
	pthread_join(id, NULL);
	oomreclaim_unregister(handles[0]);
}

int main(int argc, char **argv)
{
	void *volatile ballast; /* volatile: not optimised away */

	if (argc > 2 || (argc == 2 && (atoi(argv[1]) < 1 || atoi(argv[1]) > REPETITIONS_MAX))) {
		fprintf(stderr, "usage: OOMRECLAIM_CONF=limit:64G ladder [1..%d]\n",
		        REPETITIONS_MAX);
		return 2;
	}
	if (argc == 2)
		repetitions = (unsigned)atoi(argv[1]);
	if (!oomreclaim_available())
		die("the library is not preloaded");
	/* A request above the whole limit would be refused at once, by rung 1. */
	ballast = malloc(BALLAST_BYTES);
	if (!ballast)
		die("no memory to begin with");
	time_no_failure();
	vary_callbacks();
	vary_dirty();
	vary_threads();
	time_disturbance();
	vary_heap();
	free(ballast);
	return 0;
}
