/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hash table as a cache: a few keys are asked for often, most seldom; what is missing is computed
 * and kept. It has no size of its own. Without the library the limit is met by malloc's NULL, and
 * that request has failed; with it, by the callback below, which evicts what was added first.
 * --cache-bytes gives it a size by hand instead, for comparison, --cache-target the one that
 * oomreclaim_cache_target() says, and with --cache-headroom it evicts for what it adds once
 * oomreclaim_headroom() says that there is next to no room.
 */
#include "workload.h"

#include <pthread.h>

#include "oomreclaim.h"

enum {
	SHARDS = 16,
	BUCKETS = 1 << 12,
	KEYS = 1 << 16,
	EVICT_BATCH_BYTES = 1 << 20, /* a round costs the same, whatever it gives */
	LITTLE_ROOM_BYTES = 1 << 20,
	COMPUTE_STEPS = 2 /* passes over a value that is computed: what a miss costs */
};

struct entry {
	struct entry *next_in_bucket, *newer;
	uint64_t key;
	size_t bytes;
	uint64_t data[];
};

/* All guarded by the lock, which nobody holds while allocating: that is why evict() may wait for
   it. */
static struct shard {
	pthread_mutex_t lock;
	struct entry *buckets[BUCKETS];
	struct entry *oldest, **newest;
	_Atomic size_t bytes; /* read without the lock by count() */
} shards[SHARDS];             /* shared by all threads: one cache */

static oomreclaim_handle handle;

static struct shard *shard_of(uint64_t key)
{
	return &shards[key % SHARDS];
}

static struct entry **find(struct shard *shard, uint64_t key)
{
	struct entry **at = &shard->buckets[key / SHARDS % BUCKETS];

	while (*at && (*at)->key != key)
		at = &(*at)->next_in_bucket;
	return at;
}

static size_t evict_oldest(struct shard *shard)
{
	struct entry *entry = shard->oldest;
	struct entry **at = find(shard, entry->key);
	size_t bytes = entry->bytes;

	*at = entry->next_in_bucket;
	shard->oldest = entry->newer;
	if (!shard->oldest)
		shard->newest = &shard->oldest;
	shard->bytes -= bytes;
	free(entry);
	return bytes;
}

static size_t evict(const struct oomreclaim_control *control, void *arg)
{
	size_t wanted = control->bytes_wanted, freed = 0;

	(void)arg;
	if (wanted < EVICT_BATCH_BYTES)
		wanted = EVICT_BATCH_BYTES;
	for (unsigned i = 0; i < SHARDS && freed < wanted; i++) {
		/* From each its part, or the first would always be empty; what one lacks another
		   gives. */
		size_t part = (wanted - freed) / (SHARDS - i) + 1, before = freed;

		pthread_mutex_lock(&shards[i].lock);
		while (shards[i].oldest && freed - before < part)
			freed += evict_oldest(&shards[i]);
		pthread_mutex_unlock(&shards[i].lock);
	}
	return freed;
}

static size_t count(const struct oomreclaim_control *control, void *arg)
{
	size_t bytes = 0;

	(void)control;
	(void)arg;
	for (unsigned i = 0; i < SHARDS; i++)
		bytes += shards[i].bytes;
	return bytes;
}

static int has_little_room(void)
{
	return workload_settings.asks_headroom && oomreclaim_headroom(NULL) < LITTLE_ROOM_BYTES;
}

/* 0: as much as there is. */
static size_t most_bytes(void)
{
	return workload_settings.asks_target ? oomreclaim_cache_target(handle)
	                                     : workload_settings.cache_bytes;
}

/* What there is a cache for. Reading and computing touch the same words. */
static uint64_t compute(uint64_t key, uint64_t *data, size_t words)
{
	for (int step = 0; step < COMPUTE_STEPS; step++)
		for (size_t i = 0; i < words; i++) {
			key = key * 6364136223846793005u + 1442695040888963407u;
			data[i] = step ? data[i] ^ key : key;
		}
	return data[0];
}

static int read_cached(struct worker *self, struct shard *shard, uint64_t key)
{
	struct entry *entry;

	pthread_mutex_lock(&shard->lock);
	entry = *find(shard, key);
	if (entry)
		self->check += entry->data[0];
	pthread_mutex_unlock(&shard->lock);
	return entry != NULL;
}

/* With the lock held. */
static void make_room(struct shard *shard, const struct entry *added)
{
	size_t most = most_bytes() / SHARDS, freed = 0;

	while (most && shard->bytes > most && shard->oldest != added)
		evict_oldest(shard);
	if (has_little_room())
		while (freed < added->bytes && shard->oldest != added)
			freed += evict_oldest(shard);
}

static void add(struct shard *shard, struct entry *entry)
{
	struct entry **at;

	pthread_mutex_lock(&shard->lock);
	at = find(shard, entry->key);
	if (*at) { /* another thread was faster */
		pthread_mutex_unlock(&shard->lock);
		free(entry);
		return;
	}
	*at = entry;
	*shard->newest = entry;
	shard->newest = &entry->newer;
	shard->bytes += entry->bytes;
	make_room(shard, entry);
	pthread_mutex_unlock(&shard->lock);
}

static void run(struct worker *self)
{
	for (uint64_t i = 0; i < self->rounds; i++) {
		/* The cube of a uniform number: the lower keys are asked for more often. */
		uint64_t some = random_between(self, 0, KEYS);
		uint64_t key = some * some / KEYS * some / KEYS;
		/* 256 to 4096 bytes, by the key alone: the value is the same in each thread. */
		size_t words = 32 + (size_t)(key * 0x9e3779b97f4a7c15u >> 32) % 480;
		struct entry *entry;

		if (read_cached(self, shard_of(key), key))
			continue;
		entry = malloc(sizeof(*entry) + words * sizeof(uint64_t));
		self->ops++;
		if (!entry) {
			self->failed++;
			continue;
		}
		*entry = (struct entry){.key = key,
		                        .bytes = sizeof(*entry) + words * sizeof(uint64_t)};
		self->check += compute(key, entry->data, words);
		add(shard_of(key), entry);
	}
}

static void prepare(unsigned threads)
{
	const struct oomreclaim_shrinker shrinker = {.name = "cache",
	                                             .count = count,
	                                             .scan = evict,
	                                             .cost = OOMRECLAIM_COST_DEFAULT};

	(void)threads;
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&shards[i].lock, NULL);
		shards[i].newest = &shards[i].oldest;
	}
	if (!oomreclaim_available())
		workload_settings.asks_target = workload_settings.asks_headroom = false;
	else if (workload_settings.asks_target)
		oomreclaim_shrinker_register(&shrinker, sizeof(shrinker), &handle);
	else
		oomreclaim_register("cache", OOMRECLAIM_PRIORITY_DEFAULT, 0, evict, NULL, NULL);
}

static void finish(void)
{
	for (unsigned i = 0; i < SHARDS; i++)
		while (shards[i].oldest)
			evict_oldest(&shards[i]);
}

const struct workload cache_workload = {.name = "cache",
                                        .rounds = 1500000,
                                        .run = run,
                                        .prepare = prepare,
                                        .finish = finish};
