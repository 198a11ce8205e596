/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every workload is written against. A workload is one function that each thread runs once
 * with its share of the rounds; sizes and choices come from a seed, so that each allocator meets
 * the same requests. Nothing here ends at a NULL: it is counted, and the workload goes on without
 * that block.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS_MAX = 64, PAGE_BYTES = 4096 };

/* A limit on address space is not to be met by stacks. */
enum { STACK_BYTES = 256 << 10 };

/* One thread. Only that thread touches it until it has ended. */
struct worker {
	unsigned index, threads;
	uint64_t random;
	uint64_t rounds; /* its share of the work */
	uint64_t ops;    /* allocations asked for */
	uint64_t failed; /* of these, NULL */
	uint64_t check;  /* of what was read, so that reading is not optimised away */
};

struct workload {
	const char *name;
	uint64_t rounds; /* of all threads together, about a second's worth on one processor */
	void (*run)(struct worker *self);
	void (*prepare)(unsigned threads); /* may be NULL */
	void (*finish)(void);              /* may be NULL */
};

extern const struct workload churn_workload, handover_workload, survivors_workload, grow_workload,
	large_workload, cache_workload, shares_workload, parser_workload, fork_workload;

/* Of the kinds of others' benchmarks, and kept apart: no setting is chosen by them. */
extern const struct workload larson_workload, xmalloc_workload, mstress_workload, rptest_workload,
	scratch_workload, thrash_workload, sh6bench_workload;

/* Runs it in a thread that ends with it, here where none can be started; waits for it. */
void in_new_thread(void (*run)(void *), void *arg);

/* Set by main() before any thread starts. */
struct workload_settings {
	size_t cache_bytes; /* the cache's size by hand; 0: as much as there is */
	bool asks_target;   /* its size is what oomreclaim_cache_target() says */
	bool asks_headroom; /* it grows as long as oomreclaim_headroom() says that there is room */
	unsigned share;     /* of two caches, per cent of these bytes for the first */
	unsigned scale;     /* per cent of the work */
};
extern struct workload_settings workload_settings;

/* xorshift64*: good enough to choose sizes by, and cheap beside a malloc. */
static inline uint64_t random_next(struct worker *self)
{
	self->random ^= self->random >> 12;
	self->random ^= self->random << 25;
	self->random ^= self->random >> 27;
	return self->random * 0x2545f4914f6cdd1du;
}

/* At least `low`, less than `high`. */
static inline size_t random_between(struct worker *self, size_t low, size_t high)
{
	return low + (size_t)((random_next(self) >> 32) % (high - low));
}

/* Many small ones and few large ones: uniform in the number of bits, up to 2^bits. */
static inline size_t random_size(struct worker *self, unsigned bits_min, unsigned bits_max)
{
	size_t base = (size_t)1 << random_between(self, bits_min, bits_max);

	return random_between(self, base, 2 * base);
}

/* malloc, counted, the first bytes and one byte of each page written. */
static inline void *take(struct worker *self, size_t size)
{
	unsigned char *block = malloc(size);

	self->ops++;
	if (!block) {
		self->failed++;
		return NULL;
	}
	memset(block, (int)size, size < 64 ? size : 64);
	for (size_t at = PAGE_BYTES; at < size; at += PAGE_BYTES)
		block[at] = (unsigned char)size;
	return block;
}

#endif
