/* SPDX-License-Identifier: BSD-2-Clause */
/* Caches for the tests of shrinkers, and rounds over them. */
#ifndef SHRINKERS_H
#define SHRINKERS_H

#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>

#include "base/base.h"
#include "fake_heap.h"
#include "reclaim/descent.h"
#include "reclaim/reclaim.h"
#include "reclaim/registry.h"
#include "support.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

struct cache {
	atomic_size_t bytes; /* and counts: of a test and of oomreclaimd */
	size_t lost;
	char letter;       /* in the trace when it is scanned; 0: none */
	bool is_locked;    /* returns OOMRECLAIM_STOP */
	bool is_elsewhere; /* the heap sees nothing of it */
	atomic_uint counts;
	unsigned scans;
	size_t asked; /* the last time */
	oomreclaim_handle handle;
};

static size_t cache_count(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;

	cache->counts++;
	errno = control->bytes_wanted > 0 ? EDOM : ERANGE;
	return cache->bytes;
}

static size_t cache_scan(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;
	size_t given = control->bytes_wanted < cache->bytes ? control->bytes_wanted : cache->bytes;

	cache->scans++;
	cache->asked = control->bytes_wanted;
	if (cache->letter != 0)
		fake_heap_note(cache->letter);
	errno = EDOM;
	if (cache->is_locked)
		return OOMRECLAIM_STOP;
	cache->bytes -= given;
	cache->lost += given;
	if (!cache->is_elsewhere)
		fake_heap_freed(given);
	return given;
}

static void cache_add_with(struct cache *cache, int priority, unsigned cost, size_t batch)
{
	const struct oomreclaim_shrinker shrinker = {.name = "cache",
	                                             .priority = priority,
	                                             .count = cache_count,
	                                             .scan = cache_scan,
	                                             .arg = cache,
	                                             .cost = cost,
	                                             .batch = batch};

	cr_assert_eq(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, &cache->handle), 0);
}

static inline void cache_add(struct cache *cache)
{
	cache_add_with(cache, 0, OOMRECLAIM_COST_DEFAULT, 0);
}

/* Without an argument. */
static const struct oomreclaim_shrinker good = {.name = "good",
                                                .count = cache_count,
                                                .scan = cache_scan,
                                                .cost = 2};

static inline oomreclaim_handle add(oomreclaim_callback *count, oomreclaim_callback *scan,
                                    void *arg)
{
	struct oomreclaim_shrinker shrinker = good;
	oomreclaim_handle handle = 0;

	shrinker.count = count;
	shrinker.scan = scan;
	shrinker.arg = arg;
	cr_assert_eq(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, &handle), 0);
	return handle;
}

/* Counts its calls. */
static inline size_t give_nothing(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	++*(unsigned *)arg;
	return 0;
}

static inline unsigned registered(void)
{
	unsigned total;

	registry_lines(NULL, 0, &total);
	return total;
}

static inline struct reclaim_progress want(size_t bytes)
{
	const struct reclaim_request request = {.wanted_bytes = bytes,
	                                        .constraint = "NONE",
	                                        .reason = OOMRECLAIM_REASON_ALLOC,
	                                        .deadline_ns = now_ns() + 3600 * NSEC_PER_SEC};
	struct reclaim_progress progress;
	struct descent descent;

	descent_begin(&descent);
	errno = ERRNO_UNTOUCHED;
	reclaim_round(&request, &progress);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	descent_end(&descent);
	return progress;
}

#endif
