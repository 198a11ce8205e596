/* SPDX-License-Identifier: BSD-2-Clause */
/* The caches of the list that ask how large they should be: target.h's arithmetic over them. */
#include "base/base.h"
#include "limits/budget.h"
#include "reclaim/registry_inside.h"

/* Those that are registered and have one. Written under the lock. Relaxed: it orders nothing. */
static atomic_uint caches;

bool registry_has_caches(void)
{
	return atomic_load_explicit(&caches, memory_order_relaxed) > 0;
}

/*
 * The targets once more, for those that ask at each insertion, on many threads: they take no lock.
 * A cache has the place that its handle gives. Where another has that, it is asked under the lock.
 *
 * Written under the lock. Who reads the place between two looks at its handle, which has to be the
 * same: no handle is given out twice.
 */
#define PLACES 64
static struct {
	_Atomic oomreclaim_handle handle; /* 0: nobody has the place */
	atomic_size_t bytes;
} places[PLACES];

static bool find_place(oomreclaim_handle handle, size_t *bytes)
{
	oomreclaim_handle before, after;
	size_t found;

	/* Acquire: what is read then is of this cache, or of one that came later, */
	before = atomic_load_explicit(&places[handle % PLACES].handle, memory_order_acquire);
	/* and then the handle has changed. */
	found = atomic_load_explicit(&places[handle % PLACES].bytes, memory_order_acquire);
	after = atomic_load_explicit(&places[handle % PLACES].handle, memory_order_relaxed);
	if (handle == 0 || before != handle || after != handle)
		return false;
	*bytes = found;
	return true;
}

/* With the lock held, as registry_forget_cache(). Release: see find_place(). */
static void publish(const struct registry_entry *entry)
{
	size_t place = entry->handle % PLACES;
	oomreclaim_handle owner = atomic_load_explicit(&places[place].handle, memory_order_relaxed);

	if (owner != 0 && owner != entry->handle)
		return;
	atomic_store_explicit(&places[place].bytes, entry->target.bytes, memory_order_release);
	atomic_store_explicit(&places[place].handle, entry->handle, memory_order_release);
}

void registry_forget_cache(const struct registry_entry *entry)
{
	size_t place = entry->handle % PLACES;

	if (!entry->target.is_used)
		return;
	atomic_fetch_sub_explicit(&caches, 1, memory_order_relaxed);
	if (atomic_load_explicit(&places[place].handle, memory_order_relaxed) == entry->handle)
		atomic_store_explicit(&places[place].handle, 0, memory_order_relaxed);
}

/* With the lock held. oomreclaimd has to be able to count it. */
static struct registry_entry *find_cache(oomreclaim_handle handle, bool *is_new)
{
	struct registry_entry *entry = *registry_find(handle);

	if (entry == NULL || entry->is_dead || !registry_is_shrinker(entry) ||
	    (entry->flags & OOMRECLAIM_CALLBACK_DIRECT) != 0)
		return NULL;
	*is_new = !entry->target.is_used;
	if (*is_new) {
		entry->target.is_used = true;
		entry->target.counted_in = 0;
		entry->target.bytes = SIZE_MAX;
		publish(entry);
		atomic_fetch_add_explicit(&caches, 1, memory_order_relaxed);
	}
	return entry;
}

bool registry_target(oomreclaim_handle handle, size_t *bytes, bool *is_new)
{
	const struct registry_entry *entry;

	*is_new = false;
	if (find_place(handle, bytes))
		return true;
	lock_take(&registry.lock);
	entry = find_cache(handle, is_new);
	if (entry != NULL)
		*bytes = entry->target.bytes;
	lock_release(&registry.lock);
	return entry != NULL;
}

bool registry_regret(oomreclaim_handle handle, size_t bytes, bool *is_new)
{
	struct registry_entry *entry;

	*is_new = false;
	lock_take(&registry.lock);
	entry = find_cache(handle, is_new);
	if (entry != NULL) {
		entry->target.regret_bytes = add_saturated(entry->target.regret_bytes, bytes);
		entry->stats.bytes_regretted += bytes;
	}
	lock_release(&registry.lock);
	return entry != NULL;
}

/* The first with a target, from `entry` on. A cache that was not counted yet is not known to have
   anything: by what it seems to have it would be told to evict all. */
static struct registry_entry *next_cache(struct registry_entry *entry)
{
	while (entry != NULL &&
	       (entry->is_dead || !entry->target.is_used || entry->target.counted_in == 0))
		entry = entry->next;
	return entry;
}

#define FOR_EACH_CACHE(entry)                                       \
	for ((entry) = next_cache(registry.first); (entry) != NULL; \
	     (entry) = next_cache((entry)->next))

static void make_step(struct target_pass *pass)
{
	struct registry_entry *entry;

	FOR_EACH_CACHE(entry)
	target_take(pass, &entry->target, entry->shrinker.cost);
	FOR_EACH_CACHE(entry)
	target_move(pass, &entry->target, entry->shrinker.cost);
	pass->shares = 0;
	FOR_EACH_CACHE(entry)
	pass->shares += entry->target.share;
}

/* A shrinker that has no target. Those that oomreclaimd may not call are not counted. */
static bool is_beside(const struct registry_entry *entry, const struct registry_entry *cache)
{
	return !entry->is_dead && !entry->target.is_used && registry_is_shrinker(entry) &&
	       (entry->flags & OOMRECLAIM_CALLBACK_DIRECT) == 0 &&
	       entry->priority >= cache->priority;
}

/* What the heap has grown by since the cache was counted, which all may be the cache's: it need not
   have been asked since, or it was locked. */
static size_t grown(const struct registry_entry *entry, size_t heap_bytes)
{
	return heap_bytes - min_size(heap_bytes, entry->target.heap_bytes);
}

/* What is asked after the caches is not taken for them. */
static unsigned cost_beside(const struct registry_entry *entry, const struct registry_entry *cache)
{
	return entry->priority > cache->priority ? 0 : entry->shrinker.cost;
}

static void add_others(struct target_pass *pass, size_t heap_bytes)
{
	const struct registry_entry *cache = next_cache(registry.first), *oldest = NULL;

	for (struct registry_entry *entry = registry.first; cache && entry; entry = entry->next) {
		if (!is_beside(entry, cache))
			continue;
		target_beside(pass, entry->target.size_bytes, cost_beside(entry, cache));
		/* One that was never counted has shown nothing, and the whole heap is no growth. */
		if (entry->target.counted_in != 0 &&
		    (oldest == NULL || entry->target.heap_bytes < oldest->target.heap_bytes))
			oldest = entry;
	}
	/* Once: it can't be that of all. */
	if (oldest != NULL)
		target_beside(pass, grown(oldest, heap_bytes), cost_beside(oldest, cache));
}

/* All have no more than the heap, whatever one of them says: one that is wrong does not take the
   limit from all. */
static void add_all(struct target_pass *pass, size_t heap_bytes)
{
	struct registry_entry *entry;
	size_t most = 0;

	FOR_EACH_CACHE(entry)
	{
		size_t bytes = grown(entry, heap_bytes);

		target_add(pass, &entry->target, entry->shrinker.cost);
		most = bytes > most ? bytes : most;
	}
	/* Once: it can't be that of all. */
	pass->pool_bytes = add_saturated(pass->pool_bytes, most);
	add_others(pass, heap_bytes);
	pass->pool_bytes = min_size(pass->pool_bytes, budget_charged());
}

/* A round need not have asked all, and what a cache has grown by since it was counted is not known:
   its target would be too small or too large. */
static bool are_sizes_new(void)
{
	for (const struct registry_entry *entry = registry.first; entry; entry = entry->next)
		if (!entry->is_dead && entry->target.is_used &&
		    entry->target.counted_in != registry.round)
			return false;
	return true;
}

void registry_set_targets(const struct registry_heap *heap, bool is_round)
{
	struct target_pass pass = {.caches = 0};
	struct registry_entry *entry;

	lock_take(&registry.lock);
	if (is_round && !are_sizes_new()) {
		lock_release(&registry.lock);
		return;
	}
	add_all(&pass, heap->used_bytes);
	if (target_aim(&pass, heap->headroom_bytes, heap->excess_bytes) && !is_round)
		make_step(&pass);
	FOR_EACH_CACHE(entry)
	{
		target_set(&pass, &entry->target);
		publish(entry);
	}
	lock_release(&registry.lock);
}
