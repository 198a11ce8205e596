/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * latency: how long malloc() takes in a program whose cache always fills the limit.
 *
 *     latency [--seconds N] [--rate MIB_PER_SECOND] [--threads N] [--batch KIB]
 *
 * All threads together take blocks of 1 to 16 KiB at a steady rate and put them into one cache,
 * whose callback evicts the oldest, at least a batch at a time; nothing else ever frees. Prints one
 * line:
 *
 *     mallocs p50 p99 p99.9 max (ns)  direct rounds and MiB, background rounds and MiB  failed
 *     mallocs that descended the ladder
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "oomreclaim.h"

enum { THREADS_MAX = 64, BLOCK_MIN = 1 << 10, BLOCK_MAX = 16 << 10, PERIOD_NS = 1000 * 1000 };

struct block {
	struct block *next;
	size_t bytes;
};

/* The cache, oldest first. */
static struct {
	pthread_mutex_t lock;
	struct block *first, **last;
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER, .last = &cache.first};

/* Powers of two, each in sixteen steps: no more than 6 per cent off. */
enum { STEPS = 16, BUCKETS = 64 * STEPS };

struct worker {
	pthread_t id;
	unsigned seed;
	uint64_t failed, slowest_ns;
	uint64_t histogram[BUCKETS];
};

static struct worker workers[THREADS_MAX];
static unsigned seconds = 5, rate_mib = 200, threads = 1, batch_kib = 1024;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static unsigned bucket_of(uint64_t ns)
{
	unsigned log2;

	if (ns < STEPS)
		return (unsigned)ns;
	log2 = 63 - (unsigned)__builtin_clzll(ns);
	return log2 * STEPS + (unsigned)(ns >> (log2 - 4)) % STEPS;
}

static uint64_t ns_of(unsigned bucket)
{
	unsigned log2 = bucket / STEPS;

	if (bucket < STEPS)
		return bucket;
	return (uint64_t)(STEPS + bucket % STEPS) << (log2 - 4);
}

static size_t evict(const struct oomreclaim_control *control, void *arg)
{
	size_t batch = (size_t)batch_kib << 10, freed = 0;
	size_t wanted = control->bytes_wanted > batch ? control->bytes_wanted : batch;
	struct block *block;

	(void)arg;
	/* On a thread that failed the lock may be its own; in the background nobody waits for
	   us. */
	if (!control->is_direct)
		pthread_mutex_lock(&cache.lock);
	else if (pthread_mutex_trylock(&cache.lock) != 0)
		return 0;
	while (freed < wanted && (block = cache.first) != NULL) {
		cache.first = block->next;
		if (cache.first == NULL)
			cache.last = &cache.first;
		freed += block->bytes;
		free(block);
	}
	pthread_mutex_unlock(&cache.lock);
	return freed;
}

static void put(struct block *block, size_t bytes)
{
	block->bytes = bytes;
	block->next = NULL;
	pthread_mutex_lock(&cache.lock);
	*cache.last = block;
	cache.last = &block->next;
	pthread_mutex_unlock(&cache.lock);
}

static size_t take(struct worker *worker)
{
	size_t bytes = BLOCK_MIN + (size_t)rand_r(&worker->seed) % (BLOCK_MAX - BLOCK_MIN);
	uint64_t began = now_ns(), took;
	struct block *block = malloc(bytes);

	took = now_ns() - began;
	worker->histogram[bucket_of(took)]++;
	if (took > worker->slowest_ns)
		worker->slowest_ns = took;
	if (block == NULL) {
		worker->failed++;
		return bytes;
	}
	memset(block, 1, bytes);
	put(block, bytes);
	return bytes;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	uint64_t begin = now_ns(), end = begin + (uint64_t)seconds * 1000000000, next = begin,
		 taken = 0;

	while (now_ns() < end) {
		uint64_t due;
		struct timespec until;

		next += PERIOD_NS;
		due = (uint64_t)((double)(next - begin) / 1e9 * rate_mib * (1 << 20) / threads);
		while (taken < due)
			taken += take(worker);
		until = (struct timespec){.tv_sec = (time_t)(next / 1000000000),
		                          .tv_nsec = (long)(next % 1000000000)};
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	}
	return NULL;
}

static uint64_t percentile(const struct worker *all, uint64_t count, double share)
{
	uint64_t below = (uint64_t)((double)count * share), seen = 0;

	for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
		seen += all->histogram[bucket];
		if (seen > below)
			return ns_of(bucket);
	}
	return all->slowest_ns;
}

static void print(void)
{
	static struct worker all;
	struct oomreclaim_stats stats = {0};
	uint64_t count = 0;

	for (unsigned i = 0; i < threads; i++) {
		all.failed += workers[i].failed;
		if (workers[i].slowest_ns > all.slowest_ns)
			all.slowest_ns = workers[i].slowest_ns;
		for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
			all.histogram[bucket] += workers[i].histogram[bucket];
			count += workers[i].histogram[bucket];
		}
	}
	oomreclaim_stats_get(&stats, sizeof stats);
	printf("%llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu\n",
	       (unsigned long long)count, (unsigned long long)percentile(&all, count, 0.5),
	       (unsigned long long)percentile(&all, count, 0.99),
	       (unsigned long long)percentile(&all, count, 0.999),
	       (unsigned long long)all.slowest_ns, (unsigned long long)stats.direct_rounds,
	       (unsigned long long)stats.direct_bytes_measured >> 20,
	       (unsigned long long)stats.background_rounds,
	       (unsigned long long)stats.background_bytes_measured >> 20,
	       (unsigned long long)all.failed, (unsigned long long)stats.failures);
}

static unsigned number(const char *text, unsigned max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || value == 0 || value > max) {
		fprintf(stderr, "latency: %s: not a number from 1 to %u\n", text, max);
		exit(2);
	}
	return (unsigned)value;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
	                                        {"rate", required_argument, NULL, 'r'},
	                                        {"threads", required_argument, NULL, 't'},
	                                        {"batch", required_argument, NULL, 'b'},
	                                        {0}};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			seconds = number(optarg, 3600);
		else if (option == 'r')
			rate_mib = number(optarg, 1 << 20);
		else if (option == 't')
			threads = number(optarg, THREADS_MAX);
		else if (option == 'b')
			batch_kib = number(optarg, 1 << 20);
		else
			return 2;
	}
	if (!oomreclaim_available()) {
		fprintf(stderr, "latency: oomreclaim is not preloaded\n");
		return 2;
	}
	oomreclaim_register("cache", 0, 0, evict, NULL, NULL);
	for (unsigned i = 0; i < threads; i++) {
		workers[i].seed = i + 1;
		if (pthread_create(&workers[i].id, NULL, work, &workers[i]) != 0)
			return 1;
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(workers[i].id, NULL);
	print();
	return 0;
}
