/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two caches that share what memory there is by what each of them regrets: answers to searches, and
 * profiles of users. Neither has a size of its own, nor a part that somebody has chosen. Eight of
 * ten requests are for profiles, and by that the profiles get most of the memory.
 *
 *     oomreclaim run --limit 16M -- ./targets
 *
 * Before it keeps an entry each cache asks how large it should be (oomreclaim_cache_target()), and
 * evicts what is too much. It remembers of each entry how much it had evicted by then. A miss of an
 * entry that it has evicted a short while ago is one that it regrets: it would have been a hit in a
 * somewhat larger cache (oomreclaim_cache_regret()).
 *
 * The cache is a shrinker all the same. Its functions are called by other threads and where an
 * allocation fails: they only try the lock, and nothing is allocated with it held.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OOMRECLAIM_OPTIONAL
#include <oomreclaim.h>

#define KEYS 4096 /* of each cache, with 4 KiB each: 16 MiB */
#define ENTRY_BYTES 4096
#define REQUESTS 150000
#define PROFILES_PERCENT 80
#define FETCH_NS 50000 /* a miss: to ask the database */

struct entry {
	struct entry *older, *newer;
	unsigned key;
	char data[ENTRY_BYTES - 3 * sizeof(void *)];
};

struct cache {
	const char *name;
	pthread_mutex_t lock; /* guards all but the counters */
	struct entry ring;    /* by use; newer is the oldest, older the newest */
	struct entry *entries[KEYS];
	size_t evicted_at
		[KEYS]; /* bytes evicted by then, that entry included; 0: never was there */
	size_t bytes, evicted;
	oomreclaim_handle handle;
	unsigned requests, hits;
};

static void take_out(struct entry *entry)
{
	entry->older->newer = entry->newer;
	entry->newer->older = entry->older;
}

static void put_newest(struct cache *cache, struct entry *entry)
{
	entry->older = cache->ring.older;
	entry->newer = &cache->ring;
	cache->ring.older->newer = entry;
	cache->ring.older = entry;
}

/* With the lock held. */
static size_t evict(struct cache *cache, size_t wanted)
{
	size_t freed = 0;

	while (freed < wanted && cache->bytes > 0) {
		struct entry *oldest = cache->ring.newer;

		take_out(oldest);
		cache->entries[oldest->key] = NULL;
		cache->evicted += ENTRY_BYTES;
		cache->evicted_at[oldest->key] = cache->evicted;
		free(oldest);
		freed += ENTRY_BYTES;
		cache->bytes -= ENTRY_BYTES;
	}
	return freed;
}

static size_t cache_count(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;
	size_t bytes;

	(void)control;
	if (pthread_mutex_trylock(&cache->lock) != 0)
		return OOMRECLAIM_STOP;
	bytes = cache->bytes;
	pthread_mutex_unlock(&cache->lock);
	return bytes;
}

static size_t cache_scan(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;
	size_t freed;

	if (pthread_mutex_trylock(&cache->lock) != 0)
		return OOMRECLAIM_STOP;
	freed = evict(cache, control->bytes_wanted);
	pthread_mutex_unlock(&cache->lock);
	return freed;
}

static int cache_find(struct cache *cache, unsigned key)
{
	struct entry *entry;

	pthread_mutex_lock(&cache->lock);
	entry = cache->entries[key];
	if (entry) {
		take_out(entry);
		put_newest(cache, entry);
	}
	pthread_mutex_unlock(&cache->lock);
	return entry != NULL;
}

/* Takes the entry over. */
static void cache_keep(struct cache *cache, struct entry *entry)
{
	size_t target = cache->handle ? oomreclaim_cache_target(cache->handle) : SIZE_MAX;
	size_t at;
	int is_regretted;

	pthread_mutex_lock(&cache->lock);
	at = cache->evicted_at[entry->key];
	is_regretted = at != 0 && cache->evicted - at < target / OOMRECLAIM_REGRET_PART;
	cache->entries[entry->key] = entry;
	put_newest(cache, entry);
	cache->bytes += ENTRY_BYTES;
	if (cache->bytes > target)
		evict(cache, cache->bytes - target);
	pthread_mutex_unlock(&cache->lock);
	if (is_regretted && cache->handle)
		oomreclaim_cache_regret(cache->handle, ENTRY_BYTES);
}

static void cache_register(struct cache *cache)
{
	const struct oomreclaim_shrinker shrinker = {
		.name = cache->name,
		.count = cache_count,
		.scan = cache_scan,
		.arg = cache,
		.cost = OOMRECLAIM_COST_DEFAULT,
	};

	cache->ring.older = cache->ring.newer = &cache->ring;
	if (oomreclaim_available())
		oomreclaim_shrinker_register(&shrinker, sizeof(shrinker), &cache->handle);
}

/* Without memory the answer is not kept, and that is all. */
static void serve(struct cache *cache, unsigned key)
{
	const struct timespec fetching = {.tv_nsec = FETCH_NS};
	struct entry *entry;

	cache->requests++;
	if (cache_find(cache, key)) {
		cache->hits++;
		return;
	}
	nanosleep(&fetching, NULL);
	entry = malloc(sizeof(*entry));
	if (!entry)
		return;
	memset(entry->data, 'x', sizeof(entry->data));
	entry->key = key;
	cache_keep(cache, entry);
}

/* xorshift64*: the same requests in every run. */
static uint64_t random_below(uint64_t bound)
{
	static uint64_t state = 88172645463325252;

	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (state * 0x2545f4914f6cdd1d >> 33) % bound;
}

static void cache_print(const struct cache *cache)
{
	printf("%s: %zu KiB, %u %% of %u from the cache\n", cache->name, cache->bytes / 1024,
	       cache->requests ? 100 * cache->hits / cache->requests : 0, cache->requests);
}

int main(void)
{
	static struct cache answers = {.name = "answers", .lock = PTHREAD_MUTEX_INITIALIZER};
	static struct cache profiles = {.name = "profiles", .lock = PTHREAD_MUTEX_INITIALIZER};

	cache_register(&answers);
	cache_register(&profiles);
	for (int i = 0; i < REQUESTS; i++) {
		/* The square of a uniform number: some keys are asked for far more often. */
		uint64_t some = random_below(KEYS);

		serve(random_below(100) < PROFILES_PERCENT ? &profiles : &answers,
		      (unsigned)(some * some / KEYS));
	}
	cache_print(&answers);
	cache_print(&profiles);
	return 0;
}
