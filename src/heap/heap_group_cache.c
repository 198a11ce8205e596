/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread's caches, one for each group that it was in lately. jemalloc has the thread's cache at a
 * fixed place, where malloc() looks: what is in it is exchanged when the thread enters and leaves a
 * group. The blocks themselves stay where they are, and so does the place in the lists of the
 * arena that the thread is bound to.
 */
#include "base/base.h"
#include "heap/heap_group_inside.h"
#include "limits/group_held.h"

/* More than these, and the one that was not used for longest has to go. */
#define CACHES 8

struct cache {
	unsigned slot; /* 0: unused */
	oomreclaim_group group;
	unsigned arena, epoch; /* the group's, when the cache began */
	unsigned used;         /* by the thread's count of changes */
	void *stacks;
	uint8_t lg_fill_div[SC_NBINS];
	bool bin_refilled[SC_NBINS];
	uint8_t bin_flush_delay_items[SC_NBINS];
	cache_bin_t bins[TCACHE_NBINS_MAX];
};

/* Of a thread that was in a group: touched by that thread alone. */
struct thread {
	arena_t *home_arena;
	struct cache *active; /* a group's, in jemalloc's place; NULL: the thread's own is */
	unsigned changes;
	unsigned destroys; /* heap_group_destroys(), when it last looked */
	tsd_binshards_t
		home_shards; /* of home_arena; a group has not enough threads to need shards */
	struct cache home;   /* the thread's own, while another is in its place */
	struct cache *caches[CACHES];
};

static OOM_TLS struct thread *own;

static unsigned bins(void)
{
	return nhbins < SC_NBINS ? SC_NBINS : nhbins;
}

static void save(tsd_t *tsd, struct cache *cache)
{
	const tcache_slow_t *slow = tsd_tcache_slowp_get(tsd);

	memcpy(cache->bins, tsd_tcachep_get(tsd)->bins, bins() * sizeof cache->bins[0]);
	memcpy(cache->lg_fill_div, slow->lg_fill_div, sizeof cache->lg_fill_div);
	memcpy(cache->bin_refilled, slow->bin_refilled, sizeof cache->bin_refilled);
	memcpy(cache->bin_flush_delay_items, slow->bin_flush_delay_items,
	       sizeof cache->bin_flush_delay_items);
}

static void load(tsd_t *tsd, const struct cache *cache)
{
	tcache_slow_t *slow = tsd_tcache_slowp_get(tsd);

	memcpy(tsd_tcachep_get(tsd)->bins, cache->bins, bins() * sizeof cache->bins[0]);
	memcpy(slow->lg_fill_div, cache->lg_fill_div, sizeof cache->lg_fill_div);
	memcpy(slow->bin_refilled, cache->bin_refilled, sizeof cache->bin_refilled);
	memcpy(slow->bin_flush_delay_items, cache->bin_flush_delay_items,
	       sizeof cache->bin_flush_delay_items);
}

/* As jemalloc's tcache_init() has it. */
static void empty(struct cache *cache)
{
	size_t at = 0, none = 0;

	cache_bin_preincrement(tcache_bin_info, nhbins, cache->stacks, &at);
	for (unsigned i = 0; i < nhbins; i++)
		heap_cache_bin_init(&cache->bins[i], &tcache_bin_info[i], cache->stacks, &at);
	for (unsigned i = nhbins; i < SC_NBINS; i++)
		heap_cache_bin_init(&cache->bins[i], &tcache_bin_info[i], cache->stacks, &none);
	cache_bin_postincrement(tcache_bin_info, nhbins, cache->stacks, &at);
	for (unsigned i = 0; i < SC_NBINS; i++) {
		cache->lg_fill_div[i] = 1;
		cache->bin_refilled[i] = false;
		cache->bin_flush_delay_items[i] = UINT8_MAX;
	}
}

/* From the root's arenas, and not through a cache that may be in exchange. */
static void *get_memory(size_t bytes, size_t alignment)
{
	return je_mallocx(bytes, MALLOCX_ALIGN(alignment) | MALLOCX_ARENA(0) | MALLOCX_TCACHE_NONE);
}

static void put_memory(void *memory)
{
	if (memory != NULL)
		je_dallocx(memory, MALLOCX_TCACHE_NONE);
}

/* ---- What is in jemalloc's place ---- */

static struct cache *put_away(tsd_t *tsd)
{
	struct cache *in_place = own->active != NULL ? own->active : &own->home;

	save(tsd, in_place);
	return in_place;
}

/* With group_lock() held: what group the cache is of does not end meanwhile. */
static void clear(tsd_t *tsd, struct cache *cache)
{
	struct cache *in_place = NULL;

	if (cache->slot == 0)
		return;
	cache->slot = 0;
	if (heap_group_epoch(cache->arena) != cache->epoch) {
		empty(cache);
		if (cache == own->active)
			load(tsd, cache);
		return;
	}
	if (cache != own->active) {
		in_place = put_away(tsd);
		load(tsd, cache);
	}
	tcache_flush(tsd);
	save(tsd, cache);
	if (in_place != NULL)
		load(tsd, in_place);
}

void heap_group_sweep(void)
{
	tsd_t *tsd = tsd_fetch();

	if (own == NULL || own->destroys == heap_group_destroys() || !tcache_available(tsd))
		return;
	own->destroys = heap_group_destroys();
	for (unsigned i = 0; i < CACHES; i++) {
		struct cache *cache = own->caches[i];

		if (cache != NULL && cache->slot != 0 && group_handle(cache->slot) != cache->group)
			clear(tsd, cache);
	}
}

static void clear_locked(tsd_t *tsd, struct cache *cache)
{
	group_lock();
	clear(tsd, cache);
	group_unlock();
}

/* The thread's own cache is in place again, and no other is left. */
static void drop_all(tsd_t *tsd)
{
	if (own == NULL || !tcache_available(tsd))
		return;
	for (unsigned i = 0; i < CACHES; i++)
		if (own->caches[i] != NULL)
			clear_locked(tsd, own->caches[i]);
	if (own->active != NULL)
		load(tsd, &own->home);
	else if (heap_own_group != 0)
		tcache_flush(tsd);
	own->active = NULL;
}

static struct cache *make_cache(void)
{
	size_t bytes, alignment;
	struct cache *cache = get_memory(sizeof *cache, CACHELINE);

	if (cache == NULL)
		return NULL;
	cache_bin_info_compute_alloc(tcache_bin_info, nhbins, &bytes, &alignment);
	*cache = (struct cache){.stacks = get_memory(bytes, alignment)};
	if (cache->stacks == NULL) {
		put_memory(cache);
		return NULL;
	}
	empty(cache);
	return cache;
}

static struct cache *find(unsigned slot)
{
	for (unsigned i = 0; i < CACHES; i++)
		if (own->caches[i] != NULL && own->caches[i]->slot == slot)
			return own->caches[i];
	return NULL;
}

/* One that is unused, or new; else the one that was not used for longest. NULL: there is no
   memory. */
static struct cache *take(tsd_t *tsd)
{
	struct cache *oldest = NULL;

	for (unsigned i = 0; i < CACHES; i++) {
		struct cache **cache = &own->caches[i];

		if (*cache == NULL)
			return *cache = make_cache();
		if ((*cache)->slot == 0)
			return *cache;
		if (*cache != own->active &&
		    (oldest == NULL || own->changes - (*cache)->used > own->changes - oldest->used))
			oldest = *cache;
	}
	clear_locked(tsd, oldest);
	return oldest;
}

static struct cache *cache_of(tsd_t *tsd, unsigned slot)
{
	struct cache *cache = find(slot);

	if (cache == NULL) {
		cache = take(tsd);
		if (cache == NULL)
			return NULL;
		cache->slot = slot;
		cache->group = group_handle(slot);
		cache->arena = arena_ind_get(heap_group_arena(slot));
		cache->epoch = heap_group_epoch(cache->arena);
	}
	cache->used = own->changes++;
	return cache;
}

/* ---- Entering ---- */

static bool begin(tsd_t *tsd)
{
	struct thread *made = get_memory(sizeof *made, CACHELINE);
	arena_t *arena = tsd_arena_get(tsd);

	if (made == NULL)
		return false;
	if (arena == NULL)
		arena = heap_arena_choose_hard(tsd, false);
	*made = (struct thread){.home_arena = arena, .destroys = heap_group_destroys()};
	own = made;
	return true;
}

/* Without a cache for the group the thread's own serves, empty before and behind. */
static void exchange(tsd_t *tsd, struct cache *to, bool is_home)
{
	bool was_shared = own->active == NULL && heap_own_group != 0;

	if (was_shared)
		tcache_flush(tsd);
	if (own->active != NULL || to != NULL)
		put_away(tsd);
	if (to != NULL)
		load(tsd, to);
	else if (own->active != NULL)
		load(tsd, &own->home);
	if (to == NULL && !is_home)
		tcache_flush(tsd);
	own->active = to;
}

static bool may_change(tsd_t *tsd)
{
	return tsd_nominal(tsd) && tsd_reentrancy_level_get(tsd) == 0;
}

bool heap_group_enter(unsigned slot)
{
	if (slot != 0 && unlikely(heap_group_arena(slot) == NULL) &&
	    (!may_change(tsd_fetch()) || !heap_group_make_arena(slot)))
		return false;
	return heap_group_switch(slot);
}

bool heap_group_switch(unsigned slot)
{
	tsd_t *tsd = tsd_fetch();

	if (slot == heap_own_group)
		return true;
	if (!may_change(tsd))
		return false;
	if (own == NULL && !begin(tsd))
		return false;
	if (unlikely(own->destroys != heap_group_destroys())) {
		group_lock();
		heap_group_sweep();
		group_unlock();
	}
	if (likely(tcache_available(tsd)))
		exchange(tsd, slot != 0 ? cache_of(tsd, slot) : NULL, slot == 0);
	if (heap_own_group == 0) {
		own->home_shards = *tsd_binshardsp_get(tsd);
		memset(tsd_binshardsp_get(tsd), 0, sizeof own->home_shards);
	} else if (slot == 0) {
		*tsd_binshardsp_get(tsd) = own->home_shards;
	}
	tsd_arena_set(tsd, slot != 0 ? heap_group_arena(slot) : own->home_arena);
	heap_own_group = slot;
	if (slot != 0)
		heap_mark_enter(tsd, arena_ind_get(heap_group_arena(slot)));
	else
		heap_mark_leave(tsd);
	return true;
}

unsigned heap_group_current(void)
{
	return heap_own_group;
}

void heap_group_set_home(tsd_t *tsd, arena_t *arena)
{
	(void)tsd;
	arena_nthreads_dec(own->home_arena, false);
	arena_nthreads_inc(arena, false);
	own->home_arena = arena;
}

/* jemalloc counts a child's one thread in the arena that the thread takes blocks from. */
void heap_group_fork_child(void)
{
	if (own != NULL && heap_own_group != 0)
		arena_nthreads_inc(own->home_arena, false);
}

void heap_group_moved(arena_t *to)
{
	if (own != NULL)
		own->home_arena = to;
}

/* ---- Where jemalloc takes a thread's cache away ---- */

/* thread.tcache.enabled: the thread goes on in its group, without a cache. */
void heap_tcache_cleanup(tsd_t *tsd)
{
	drop_all(tsd);
	tcache_cleanup(tsd);
}

/* The thread ends: first of all it is in no group any more. */
void heap_iarena_cleanup(tsd_t *tsd)
{
	struct thread *ended = own;

	if (unlikely(ended != NULL)) {
		drop_all(tsd);
		if (heap_own_group != 0) {
			*tsd_binshardsp_get(tsd) = ended->home_shards;
			tsd_arena_set(tsd, ended->home_arena);
			group_leave(heap_own_group);
			heap_own_group = 0;
			heap_mark_leave(tsd);
		}
		/* Its end was within a call that it had left its group for. */
		group_held_release();
		own = NULL;
		for (unsigned i = 0; i < CACHES; i++)
			if (ended->caches[i] != NULL) {
				put_memory(ended->caches[i]->stacks);
				put_memory(ended->caches[i]);
			}
		put_memory(ended);
	}
	iarena_cleanup(tsd);
}
