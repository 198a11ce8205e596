/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two caches that share what memory there is. In the first half of the work nine of ten requests
 * are for the one, in the second half for the other: whatever their sizes are, they are wrong for
 * one of the halves. Without --cache-target they are fixed: --cache-bytes for both together,
 * --share per cent of it for the first. With it each has what oomreclaim_cache_target() says, and
 * reports what it regrets to have evicted.
 */
#include "workload.h"

#include <pthread.h>

#include "oomreclaim.h"

enum {
	CACHES = 2,
	KEYS = 1 << 15, /* of each: 32 MiB */
	BLOCK_BYTES = 1024,
	COMPUTE_STEPS = 8, /* passes over a block that is computed: what a miss costs */
	MOSTLY = 90        /* per cent of the requests */
};

/* LRU; KEYS is the place of the list's own ends. */
static struct cache {
	pthread_mutex_t lock; /* guards all but the last three; nobody allocates with it held */
	uint32_t older[KEYS + 1], newer[KEYS + 1];
	uint64_t *blocks[KEYS];
	size_t evicted_at[KEYS]; /* bytes evicted by then; 0: never was there */
	size_t evicted;
	_Atomic size_t bytes;     /* read by count() */
	size_t most;              /* by hand */
	oomreclaim_handle handle; /* by target */
} caches[CACHES];

static void unlink_key(struct cache *cache, uint32_t key)
{
	cache->newer[cache->older[key]] = cache->newer[key];
	cache->older[cache->newer[key]] = cache->older[key];
}

static void make_newest(struct cache *cache, uint32_t key)
{
	cache->older[key] = cache->older[KEYS];
	cache->newer[key] = KEYS;
	cache->newer[cache->older[KEYS]] = key;
	cache->older[KEYS] = key;
}

static size_t shrink(struct cache *cache, size_t wanted)
{
	size_t freed = 0;

	while (freed < wanted && cache->newer[KEYS] != KEYS) {
		uint32_t oldest = cache->newer[KEYS];

		unlink_key(cache, oldest);
		free(cache->blocks[oldest]);
		cache->blocks[oldest] = NULL;
		cache->evicted_at[oldest] = cache->evicted += BLOCK_BYTES;
		freed += BLOCK_BYTES;
	}
	cache->bytes -= freed;
	return freed;
}

static size_t count(const struct oomreclaim_control *control, void *arg)
{
	const struct cache *cache = arg;

	(void)control;
	return cache->bytes;
}

static size_t scan(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;
	size_t freed;

	if (pthread_mutex_trylock(&cache->lock) != 0)
		return OOMRECLAIM_STOP;
	freed = shrink(cache, control->bytes_wanted);
	pthread_mutex_unlock(&cache->lock);
	return freed;
}

static size_t most_bytes(const struct cache *cache)
{
	return workload_settings.asks_target ? oomreclaim_cache_target(cache->handle) : cache->most;
}

static void compute(struct worker *self, uint64_t *block, uint64_t key)
{
	for (int step = 0; step < COMPUTE_STEPS; step++)
		for (size_t i = 0; i < BLOCK_BYTES / sizeof(*block); i++) {
			key = key * 6364136223846793005u + 1442695040888963407u;
			block[i] = step ? block[i] ^ key : key;
		}
	self->check += block[0];
}

static int read_cached(struct worker *self, struct cache *cache, uint32_t key)
{
	int is_there;

	pthread_mutex_lock(&cache->lock);
	is_there = cache->blocks[key] != NULL;
	if (is_there) {
		self->check += *cache->blocks[key];
		unlink_key(cache, key);
		make_newest(cache, key);
	}
	pthread_mutex_unlock(&cache->lock);
	return is_there;
}

/* The block, unless another thread was faster. */
static void add(struct cache *cache, uint32_t key, uint64_t *block)
{
	size_t most = most_bytes(cache), regret = 0;

	pthread_mutex_lock(&cache->lock);
	if (cache->blocks[key] == NULL) {
		if (cache->evicted_at[key] != 0 &&
		    cache->evicted - cache->evicted_at[key] < most / OOMRECLAIM_REGRET_PART)
			regret = BLOCK_BYTES;
		cache->blocks[key] = block;
		block = NULL;
		make_newest(cache, key);
		cache->bytes += BLOCK_BYTES;
		if (cache->bytes > most)
			shrink(cache, cache->bytes - most);
	}
	pthread_mutex_unlock(&cache->lock);
	free(block);
	if (regret > 0 && workload_settings.asks_target)
		oomreclaim_cache_regret(cache->handle, regret);
}

static void run(struct worker *self)
{
	for (uint64_t i = 0; i < self->rounds; i++) {
		size_t busy = i >= self->rounds / 2;
		size_t which = random_between(self, 0, 100) < MOSTLY ? busy : 1 - busy;
		/* The cube of a uniform number: the lower keys are asked for more often. */
		uint64_t some = random_between(self, 0, KEYS);
		uint32_t key = (uint32_t)(some * some / KEYS * some / KEYS);
		uint64_t *block;

		if (read_cached(self, &caches[which], key))
			continue;
		block = malloc(BLOCK_BYTES);
		self->ops++;
		if (!block) {
			self->failed++;
			continue;
		}
		compute(self, block, key);
		add(&caches[which], key, block);
	}
}

static void enlist(struct cache *cache)
{
	const struct oomreclaim_shrinker shrinker = {.name = "shares",
	                                             .count = count,
	                                             .scan = scan,
	                                             .arg = cache,
	                                             .cost = OOMRECLAIM_COST_DEFAULT};

	if (oomreclaim_available())
		oomreclaim_shrinker_register(&shrinker, sizeof(shrinker), &cache->handle);
}

static void prepare(unsigned threads)
{
	size_t all = workload_settings.cache_bytes ? workload_settings.cache_bytes : SIZE_MAX / 100;
	size_t first = all / 100 * workload_settings.share;

	(void)threads;
	if (!oomreclaim_available())
		workload_settings.asks_target = false;
	for (int i = 0; i < CACHES; i++) {
		pthread_mutex_init(&caches[i].lock, NULL);
		caches[i].older[KEYS] = caches[i].newer[KEYS] = KEYS;
		caches[i].most = i == 0 ? first : all - first;
		enlist(&caches[i]);
	}
}

static void finish(void)
{
	for (int i = 0; i < CACHES; i++)
		shrink(&caches[i], SIZE_MAX);
}

const struct workload shares_workload = {.name = "shares",
                                         .rounds = 1500000,
                                         .run = run,
                                         .prepare = prepare,
                                         .finish = finish};
