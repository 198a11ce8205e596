/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two caches that share what memory there is, by what it costs to get an entry back: thumbnails,
 * which are made anew in a moment, and pages, which come from far away. Neither has a limit of its
 * own.
 *
 *     oomreclaim run --limit 32M -- ./caches
 *
 * Both say how much they have (count) and free about what they are asked for (scan), so that each
 * loses in proportion to its size over its cost. As callbacks of two priorities, the thumbnails
 * would all be gone before the first page is.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OOMRECLAIM_OPTIONAL
#include <oomreclaim.h>

#define ENTRY_BYTES 8192
#define ENTRIES 8000 /* that go through each: twice 64 MiB */

struct entry {
	struct entry *next;
	char data[ENTRY_BYTES - sizeof(struct entry *)];
};

struct cache {
	const char *name;
	unsigned cost;
	pthread_mutex_t lock; /* of the two lists' ends */
	struct entry *oldest, *newest;
	atomic_size_t bytes; /* read by count() without the lock */
	size_t lost_bytes;
};

static size_t cache_count(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;

	(void)control;
	return atomic_load(&cache->bytes);
}

/* The lock may be another thread's, which waits for this very call: it is not waited for. */
static size_t cache_scan(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;
	size_t freed = 0;

	if (pthread_mutex_trylock(&cache->lock) != 0)
		return OOMRECLAIM_STOP;
	while (cache->oldest && freed < control->bytes_wanted) {
		struct entry *entry = cache->oldest;

		cache->oldest = entry->next;
		free(entry);
		freed += ENTRY_BYTES;
	}
	atomic_fetch_sub(&cache->bytes, freed);
	cache->lost_bytes += freed;
	pthread_mutex_unlock(&cache->lock);
	return freed;
}

/* Nothing is allocated with the lock held. */
static int cache_add(struct cache *cache)
{
	struct entry *entry = malloc(sizeof(*entry));

	if (!entry)
		return 0;
	memset(entry->data, 'x', sizeof(entry->data));
	entry->next = NULL;
	pthread_mutex_lock(&cache->lock);
	if (cache->oldest)
		cache->newest->next = entry;
	else
		cache->oldest = entry;
	cache->newest = entry;
	atomic_fetch_add(&cache->bytes, ENTRY_BYTES);
	pthread_mutex_unlock(&cache->lock);
	return 1;
}

static void cache_register(struct cache *cache)
{
	const struct oomreclaim_shrinker shrinker = {
		.name = cache->name,
		.count = cache_count,
		.scan = cache_scan,
		.arg = cache,
		.cost = cache->cost,
	};

	if (oomreclaim_available())
		oomreclaim_shrinker_register(&shrinker, sizeof(shrinker), NULL);
}

static void cache_print(struct cache *cache)
{
	printf("%s: %zu KiB, lost %zu KiB\n", cache->name, atomic_load(&cache->bytes) / 1024,
	       cache->lost_bytes / 1024);
}

int main(void)
{
	static struct cache thumbnails = {.name = "thumbnails",
	                                  .cost = 1,
	                                  .lock = PTHREAD_MUTEX_INITIALIZER};
	static struct cache pages = {.name = "pages", .cost = 4, .lock = PTHREAD_MUTEX_INITIALIZER};
	int failed = 0;

	cache_register(&thumbnails);
	cache_register(&pages);
	for (int i = 0; i < ENTRIES; i++) {
		failed += !cache_add(&thumbnails);
		failed += !cache_add(&pages);
	}
	cache_print(&thumbnails);
	cache_print(&pages);
	printf("failed: %d\n", failed);
	return 0;
}
