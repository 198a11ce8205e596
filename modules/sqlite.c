/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The module sqlite: gives back what SQLite's page caches hold and do not need at the moment.
 *
 * sqlite3_release_memory() would be the call for it, but does nothing unless SQLite was built with
 * SQLITE_ENABLE_MEMORY_MANAGEMENT, which distributions do not. sqlite3_db_release_memory() has to
 * have the connection's mutex, and sqlite3_mutex_try() on that is no way to find out whether a
 * statement is in the midst of something: the mutex is recursive, so the thread that fails inside
 * SQLite, the usual one, has it already. So this stands between SQLite and its own page cache
 * (SQLITE_CONFIG_PCACHE2), where every call is seen. A cache may drop an unpinned page whenever it
 * is not inside a call, says the interface. Each has a lock here, which is held during calls and
 * tried by the shrinker. A page that can't be had because the cache fills the memory is had by
 * shrinking that cache.
 *
 * SQLite's statistics (sqlite3_memory_used(), soft heap limit) are switched off unless the program
 * asks for them: they put one mutex around malloc() and free() alike, so that a shrinker could free
 * nothing while another thread waits for it within malloc().
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <sqlite3.h>

#include "oomreclaim_module.h"

struct cache {
	pthread_mutex_t lock; /* around each call of `inner` */
	sqlite3_pcache *inner;
	size_t page_bytes;
	size_t pinned_pages; /* no more than these, unless others were pinned since */
	int max_pages;       /* as SQLite set it */
	LIST_ENTRY(cache) all;
};

/* One a process, as SQLite's configuration is. */
static sqlite3_pcache_methods2 own; /* SQLite's */
static sqlite3_mutex *statistics;   /* the mutex around malloc(), where they are on */
static LIST_HEAD(, cache) caches = LIST_HEAD_INITIALIZER(caches);
/* Of the list. Taken before a cache's; nothing is allocated while it is held. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;

static struct cache *lock(sqlite3_pcache *opaque)
{
	struct cache *cache = (struct cache *)opaque;

	pthread_mutex_lock(&cache->lock);
	return cache;
}

static void unlock(struct cache *cache)
{
	pthread_mutex_unlock(&cache->lock);
}

static size_t held_bytes(const struct cache *cache)
{
	return (size_t)own.xPagecount(cache->inner) * cache->page_bytes;
}

/* With the lock held. What is pinned can't go; how many that are is known from the last time that
   not all went that should have. */
static size_t free_bytes(const struct cache *cache)
{
	size_t held = held_bytes(cache), pinned = cache->pinned_pages * cache->page_bytes;

	return held > pinned ? held - pinned : 0;
}

/* With the lock held. Pages that have not been used for the longest time go first. */
static size_t shrink(struct cache *cache, size_t drop_bytes)
{
	size_t before = held_bytes(cache), after;
	size_t keep_pages = drop_bytes < before ? (before - drop_bytes) / cache->page_bytes : 0;

	own.xCachesize(cache->inner, (int)keep_pages);
	own.xCachesize(cache->inner, cache->max_pages);
	after = held_bytes(cache);
	if (after > keep_pages * cache->page_bytes)
		cache->pinned_pages = after / cache->page_bytes;
	return before > after ? before - after : 0;
}

/* This part of what there is goes at least: emptied each time, a cache would hardly have a page
   when it is asked for one. */
#define STEP_SHIFT 3

/* ---- The shrinker ------------------------------------------------------ */

/* False: not now. Held, the mutex has a thread within SQLite's malloc(), this one perhaps, and
   free() needs it. */
static bool try_begin(void)
{
	if (sqlite3_mutex_try(statistics) != SQLITE_OK)
		return false;
	sqlite3_mutex_leave(statistics);
	return pthread_mutex_trylock(&list_lock) == 0;
}

/* Of the caches that nobody is inside of. */
static size_t free_in_all(bool *is_one_busy)
{
	struct cache *cache;
	size_t bytes = 0;

	LIST_FOREACH(cache, &caches, all) {
		if (pthread_mutex_trylock(&cache->lock) != 0) {
			*is_one_busy = true;
			continue;
		}
		bytes += free_bytes(cache);
		unlock(cache);
	}
	return bytes;
}

static size_t count_free(const struct oomreclaim_control *control, void *arg)
{
	bool is_one_busy = false;
	size_t bytes;

	(void)control;
	(void)arg;
	if (!try_begin())
		return OOMRECLAIM_STOP;
	bytes = free_in_all(&is_one_busy);
	pthread_mutex_unlock(&list_lock);
	return bytes == 0 && is_one_busy ? OOMRECLAIM_STOP : bytes;
}

/* A cache loses by its part of all. */
static size_t part_of(size_t bytes, size_t all_bytes, size_t wanted_bytes)
{
	return (size_t)((double)bytes / (double)all_bytes * (double)wanted_bytes) + 1;
}

static size_t shrink_all(size_t all_bytes, size_t wanted_bytes)
{
	struct cache *cache;
	size_t freed = 0;

	if (wanted_bytes < all_bytes >> STEP_SHIFT)
		wanted_bytes = all_bytes >> STEP_SHIFT;
	LIST_FOREACH(cache, &caches, all) {
		if (pthread_mutex_trylock(&cache->lock) != 0)
			continue;
		if (free_bytes(cache) > 0)
			freed += shrink(cache, part_of(free_bytes(cache), all_bytes, wanted_bytes));
		unlock(cache);
	}
	return freed;
}

static size_t scan(const struct oomreclaim_control *control, void *arg)
{
	bool is_one_busy = false;
	size_t bytes, freed = 0;

	(void)arg;
	if (!try_begin())
		return OOMRECLAIM_STOP;
	bytes = free_in_all(&is_one_busy);
	if (bytes > 0)
		freed = shrink_all(bytes, control->bytes_wanted);
	pthread_mutex_unlock(&list_lock);
	return freed == 0 && is_one_busy ? OOMRECLAIM_STOP : freed;
}

/* ---- SQLite's calls ---------------------------------------------------- */

static int init(void *arg)
{
	(void)arg;
	statistics = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_MEM);
	return own.xInit(own.pArg);
}

static void end(void *arg)
{
	(void)arg;
	own.xShutdown(own.pArg);
}

static sqlite3_pcache *create(int page_bytes, int extra_bytes, int is_purgeable)
{
	struct cache *cache = malloc(sizeof *cache);

	if (cache == NULL)
		return NULL;
	cache->inner = own.xCreate(page_bytes, extra_bytes, is_purgeable);
	if (cache->inner == NULL) {
		free(cache);
		return NULL;
	}
	pthread_mutex_init(&cache->lock, NULL);
	cache->max_pages = 0;
	cache->pinned_pages = 0;
	cache->page_bytes = (size_t)page_bytes + (size_t)extra_bytes;
	pthread_mutex_lock(&list_lock);
	LIST_INSERT_HEAD(&caches, cache, all);
	pthread_mutex_unlock(&list_lock);
	return (sqlite3_pcache *)cache;
}

static void destroy(sqlite3_pcache *opaque)
{
	struct cache *cache = (struct cache *)opaque;

	pthread_mutex_lock(&list_lock);
	LIST_REMOVE(cache, all);
	pthread_mutex_unlock(&list_lock);
	own.xDestroy(cache->inner);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

static void set_size(sqlite3_pcache *opaque, int pages)
{
	struct cache *cache = lock(opaque);

	cache->max_pages = pages;
	own.xCachesize(cache->inner, pages);
	unlock(cache);
}

static int count(sqlite3_pcache *opaque)
{
	struct cache *cache = lock(opaque);
	int pages = own.xPagecount(cache->inner);

	unlock(cache);
	return pages;
}

static size_t shrink_some(struct cache *cache)
{
	size_t step = held_bytes(cache) >> STEP_SHIFT;

	return shrink(cache, step > cache->page_bytes ? step : cache->page_bytes);
}

/* A page that the cache has, or has room for, without a callback being asked: the nearest to give
   is the cache itself, whose lock is held. `how` is 2 where SQLite would fail the statement next:
   then everybody is asked. */
static sqlite3_pcache_page *fetch(sqlite3_pcache *opaque, unsigned key, int how)
{
	struct cache *cache = lock(opaque);
	unsigned old = oomreclaim_scope_save(OOMRECLAIM_SCOPE_NORETRY);
	sqlite3_pcache_page *page = own.xFetch(cache->inner, key, how);

	if (page == NULL && how != 0 && shrink_some(cache) > 0)
		page = own.xFetch(cache->inner, key, how);
	oomreclaim_scope_restore(old);
	if (page == NULL && how == 2)
		page = own.xFetch(cache->inner, key, how);
	unlock(cache);
	return page;
}

static void unpin(sqlite3_pcache *opaque, sqlite3_pcache_page *page, int is_discarded)
{
	struct cache *cache = lock(opaque);

	own.xUnpin(cache->inner, page, is_discarded);
	if (cache->pinned_pages > 0)
		cache->pinned_pages--;
	unlock(cache);
}

static void rekey(sqlite3_pcache *opaque, sqlite3_pcache_page *page, unsigned from, unsigned to)
{
	struct cache *cache = lock(opaque);

	own.xRekey(cache->inner, page, from, to);
	unlock(cache);
}

static void truncate_from(sqlite3_pcache *opaque, unsigned first)
{
	struct cache *cache = lock(opaque);

	own.xTruncate(cache->inner, first);
	unlock(cache);
}

static void give_up(sqlite3_pcache *opaque)
{
	struct cache *cache = lock(opaque);

	own.xShrink(cache->inner);
	unlock(cache);
}

/* ---- Start ------------------------------------------------------------- */

/* A child may open a database of its own while another thread of the parent had the list. */
static void fork_prepare(void)
{
	pthread_mutex_lock(&list_lock);
}

static void fork_done(void)
{
	pthread_mutex_unlock(&list_lock);
}

/* What a page costs beside what other shrinkers have; 0 where that is no cost. */
static unsigned cost_of(const char *argument)
{
	unsigned long cost;
	char *end;

	if (argument[0] == '\0')
		return OOMRECLAIM_COST_DEFAULT;
	if (argument[strspn(argument, "0123456789")] != '\0')
		return 0;
	cost = strtoul(argument, &end, 10);
	return cost <= OOMRECLAIM_COST_MAX ? (unsigned)cost : 0;
}

OOMRECLAIM_MODULE(argument)
{
	const struct oomreclaim_shrinker shrinker = {.name = "sqlite",
	                                             .priority = OOMRECLAIM_PRIORITY_DEFAULT,
	                                             .count = count_free,
	                                             .scan = scan,
	                                             .cost = cost_of(argument)};
	sqlite3_pcache_methods2 between = {.iVersion = 1,
	                                   .xInit = init,
	                                   .xShutdown = end,
	                                   .xCreate = create,
	                                   .xCachesize = set_size,
	                                   .xPagecount = count,
	                                   .xFetch = fetch,
	                                   .xUnpin = unpin,
	                                   .xRekey = rekey,
	                                   .xTruncate = truncate_from,
	                                   .xDestroy = destroy,
	                                   .xShrink = give_up};
	int error;

	if (shrinker.cost == 0)
		return EINVAL;
	/* Loaded already: what SQLite has now is this. */
	if (own.xFetch != NULL)
		return EBUSY;
	/* None of these initialises SQLite: the program's own sqlite3_config() still works. They
	   fail where a constructor has used SQLite already. */
	if (sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &own) != SQLITE_OK ||
	    sqlite3_config(SQLITE_CONFIG_PCACHE2, &between) != SQLITE_OK)
		return EBUSY;
	error = oomreclaim_shrinker_register(&shrinker, sizeof shrinker, NULL);
	if (error != 0) {
		sqlite3_config(SQLITE_CONFIG_PCACHE2, &own);
		return error;
	}
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	/* Without them only a child that is forked in the midst of opening a database is at
	   risk. */
	(void)pthread_atfork(fork_prepare, fork_done, fork_done);
	return 0;
}
