/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each processor's lists of free slabs in an arena (the kernel's struct per_cpu_pages,
 * mm/page_alloc.c). Threads of one arena that run on two processors would else be given pages that
 * the other has just written: each line of them has to travel. And a slab that becomes free and is
 * a slab again a moment later takes locks, a search and a change of the tree of addresses, twice.
 *
 * The slabs in these lists are in use to jemalloc. Whoever is told to give pages back empties the
 * lists first. From the first failure on there are none: memory is short then, and what is free is
 * for everybody. Nor are there any where a limit is set at start, in groups, in arenas that were
 * made by hand, where pages are to go back at once, or in time, by a background thread; or where
 * the program asks how much room there is.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/base.h"
#include "heap/heap_fast.h"

/* The pages of one list, and of one slab in it. With half as many `sh6bench` gains half as much. */
#define HIGH_PAGES 128
#define SLAB_PAGES 8

/* What nobody had a use for in so long goes back. */
#define IDLE_MS 1000

/* Of slabs of so many pages a list can be full. */
#define SLABS_OF(pages) (HIGH_PAGES / (pages))

/* Two processors write to no line that is the same. */
struct pcp {
	_Alignas(CACHELINE) malloc_mutex_t lock;
	/* The pages, written under the lock, and the fewest since they were looked at. Without it
	   both are guesses. */
	atomic_uint pages, low;
	/* By their pages, less one: how many there are, and where they begin below. */
	unsigned count[SLAB_PAGES];
	edata_t *slabs[SLABS_OF(1) + SLABS_OF(2) + SLABS_OF(3) + SLABS_OF(4) + SLABS_OF(5) +
	               SLABS_OF(6) + SLABS_OF(7) + SLABS_OF(8)];
};

struct pcps {
	atomic_uint_least64_t looked_ms;
	struct pcp processors[]; /* as many as processors() says */
};

/* Of each arena, once a slab in it has become free. They stay. */
static _Atomic(struct pcps *) lists[MALLOCX_ARENA_LIMIT];

/* Set at start, and taken back once and for all. Read under a list's lock before a slab goes in. */
static atomic_bool is_on;

/* The lists of an arena are being made. fork() takes it before all locks of the heap: else it would
   miss the locks of lists that are made meanwhile. */
static malloc_mutex_t making;

void heap_pcp_begin(void)
{
	if (!malloc_mutex_init(&making, "pcp_making", WITNESS_RANK_OMIT,
	                       malloc_mutex_rank_exclusive))
		atomic_store_explicit(&is_on, true, memory_order_relaxed);
}

bool heap_pcp_is_on(void)
{
	return atomic_load_explicit(&is_on, memory_order_relaxed);
}

static unsigned processors(void)
{
	return heap_shards_of(ncpus);
}

static struct pcps *get(unsigned arena)
{
	return atomic_load_explicit(&lists[arena], memory_order_acquire);
}

/* ---- Lists ---- */

static struct pcps *alloc(tsdn_t *tsdn, arena_t *arena)
{
	size_t bytes = sizeof(struct pcps) + processors() * sizeof(struct pcp);
	struct pcps *made = base_alloc(tsdn, arena->base, bytes, CACHELINE);

	for (unsigned i = 0; made != NULL && i < processors(); i++)
		if (malloc_mutex_init(&made->processors[i].lock, "pcp", WITNESS_RANK_LEAF,
		                      malloc_mutex_rank_exclusive))
			return NULL;
	return made;
}

/* Where another thread makes some, or forks, the next slab has them. */
static struct pcps *make(tsdn_t *tsdn, arena_t *arena)
{
	unsigned index = arena_ind_get(arena);

	if (malloc_mutex_trylock(tsdn, &making))
		return NULL;
	if (get(index) == NULL)
		atomic_store_explicit(&lists[index], alloc(tsdn, arena), memory_order_release);
	malloc_mutex_unlock(tsdn, &making);
	return get(index);
}

/* The slabs of so many pages, the oldest first. */
static edata_t **slabs_of(struct pcp *pcp, unsigned pages)
{
	edata_t **slabs = pcp->slabs;

	for (unsigned i = 1; i < pages; i++)
		slabs += SLABS_OF(i);
	return slabs;
}

static void note(struct pcp *pcp, unsigned pages)
{
	atomic_store_explicit(&pcp->pages, pages, memory_order_relaxed);
	if (pages < atomic_load_explicit(&pcp->low, memory_order_relaxed))
		atomic_store_explicit(&pcp->low, pages, memory_order_relaxed);
}

static unsigned pages_in(struct pcp *pcp)
{
	return atomic_load_explicit(&pcp->pages, memory_order_relaxed);
}

/* The newest: its lines are in the processor's caches. Nobody waits for a list. */
static edata_t *take(tsdn_t *tsdn, arena_t *arena, size_t bytes)
{
	struct pcps *pcps = get(arena_ind_get(arena));
	unsigned pages = (unsigned)(bytes >> LG_PAGE), *count;
	edata_t *slab = NULL;
	struct pcp *pcp;

	if (pcps == NULL || pages > SLAB_PAGES)
		return NULL;
	pcp = &pcps->processors[heap_shard(tsdn, arena, processors())];
	if (pages_in(pcp) == 0 || malloc_mutex_trylock(tsdn, &pcp->lock))
		return NULL;
	count = &pcp->count[pages - 1];
	if (*count > 0) {
		slab = slabs_of(pcp, pages)[--*count];
		note(pcp, pages_in(pcp) - pages);
	}
	malloc_mutex_unlock(tsdn, &pcp->lock);
	return slab;
}

/* Where blocks go to by processor, the one that took them, and wrote them: another may have freed
   them, and has no use for them. Else the one that the thread runs on. */
static unsigned owner_of(tsdn_t *tsdn, arena_t *arena, const edata_t *slab)
{
	return heap_is_by_processor(edata_szind_get(slab)) ? edata_binshard_get(slab)
	                                                   : heap_shard(tsdn, arena, processors());
}

static bool put(tsdn_t *tsdn, arena_t *arena, edata_t *slab)
{
	unsigned pages = (unsigned)(edata_size_get(slab) >> LG_PAGE);
	struct pcps *pcps = get(arena_ind_get(arena));
	struct pcp *pcp;
	bool is_put;

	if (pcps == NULL && (pcps = make(tsdn, arena)) == NULL)
		return false;
	pcp = &pcps->processors[owner_of(tsdn, arena, slab) % processors()];
	if (pages > SLAB_PAGES || malloc_mutex_trylock(tsdn, &pcp->lock))
		return false;
	is_put = heap_pcp_is_on() && pages_in(pcp) + pages <= HIGH_PAGES;
	if (is_put) {
		slabs_of(pcp, pages)[pcp->count[pages - 1]++] = slab;
		note(pcp, pages_in(pcp) + pages);
	}
	malloc_mutex_unlock(tsdn, &pcp->lock);
	return is_put;
}

static void each_lock(tsdn_t *tsdn, void (*call)(tsdn_t *tsdn, malloc_mutex_t *lock))
{
	for (unsigned i = 0; i < manual_arena_base; i++) {
		struct pcps *pcps = get(i);

		for (unsigned j = 0; pcps != NULL && j < processors(); j++)
			call(tsdn, &pcps->processors[j].lock);
	}
}

/* ---- Slabs ---- */

static bool may_keep(pa_shard_t *shard, const edata_t *slab)
{
	return heap_pcp_is_on() && shard->ind < manual_arena_base && !edata_guarded_get(slab) &&
	       ehooks_are_default(base_ehooks_get(shard->base)) &&
	       pac_decay_ms_get(&shard->pac, extent_state_dirty) != 0 &&
	       !background_thread_enabled();
}

/* As pa_alloc() does it: the tree of addresses has the size class. */
static void set_class(tsdn_t *tsdn, pa_shard_t *shard, edata_t *slab, szind_t class)
{
	if (edata_szind_get(slab) == class)
		return;
	heap_emap_remap(tsdn, shard->emap, slab, class, true);
	edata_szind_set(slab, class);
	if (edata_size_get(slab) > 2 * PAGE)
		heap_emap_register_interior(tsdn, shard->emap, slab, class);
}

edata_t *heap_pa_alloc(tsdn_t *tsdn, pa_shard_t *shard, size_t size, size_t alignment, bool is_slab,
                       szind_t class, bool is_zero, bool is_guarded, bool *has_deferred)
{
	edata_t *slab = NULL;

	if (is_slab && !is_guarded && shard->ind < manual_arena_base)
		slab = take(tsdn, arena_get(tsdn, shard->ind, false), size);
	if (slab == NULL)
		return pa_alloc(tsdn, shard, size, alignment, is_slab, class, is_zero, is_guarded,
		                has_deferred);
	set_class(tsdn, shard, slab, class);
	return slab;
}

void heap_pa_dalloc(tsdn_t *tsdn, pa_shard_t *shard, edata_t *extent, bool *has_deferred)
{
	if (edata_slab_get(extent) && may_keep(shard, extent) &&
	    put(tsdn, arena_get(tsdn, shard->ind, false), extent))
		return;
	pa_dalloc(tsdn, shard, extent, has_deferred);
}

/* ---- Back to the arena ---- */

static edata_t *take_oldest(tsdn_t *tsdn, struct pcp *pcp, bool waits)
{
	edata_t *slab = NULL, **slabs;
	unsigned pages = 1;

	if (malloc_mutex_trylock(tsdn, &pcp->lock)) {
		if (!waits)
			return NULL;
		malloc_mutex_lock(tsdn, &pcp->lock);
	}
	while (pages < SLAB_PAGES && pcp->count[pages - 1] == 0)
		pages++;
	if (pcp->count[pages - 1] > 0) {
		slabs = slabs_of(pcp, pages);
		slab = slabs[0];
		memmove(slabs, slabs + 1, --pcp->count[pages - 1] * sizeof(void *));
		note(pcp, pages_in(pcp) - pages);
	}
	malloc_mutex_unlock(tsdn, &pcp->lock);
	return slab;
}

/* Until no more than so many pages are left. Whether there was anything. Who frees does not wait: a
   signal's handler may have interrupted who has the lock. */
static bool drain(tsdn_t *tsdn, arena_t *arena, struct pcp *pcp, unsigned left, bool waits)
{
	bool has_deferred = false, has_drained = false;
	edata_t *slab;

	/* What another thread puts in meanwhile waits for the next time. */
	for (unsigned i = 0; i < HIGH_PAGES && pages_in(pcp) > left; i++) {
		slab = take_oldest(tsdn, pcp, waits);
		if (slab == NULL)
			break;
		pa_dalloc(tsdn, &arena->pa_shard, slab, &has_deferred);
		has_drained = true;
	}
	return has_drained;
}

bool heap_pcp_drain(tsdn_t *tsdn, unsigned index)
{
	struct pcps *pcps = get(index);
	bool has_drained = false;

	for (unsigned i = 0; pcps != NULL && i < processors(); i++)
		has_drained |=
			drain(tsdn, arena_get(tsdn, index, false), &pcps->processors[i], 0, true);
	return has_drained;
}

static bool drain_all(tsdn_t *tsdn)
{
	bool has_drained = false;

	for (unsigned i = 0; i < manual_arena_base; i++)
		has_drained |= heap_pcp_drain(tsdn, i);
	return has_drained;
}

/* What has become free is to go back at once from now on, or in another time. */
bool heap_arena_decay_ms_set(tsdn_t *tsdn, arena_t *arena, extent_state_t state, ssize_t decay_ms)
{
	bool is_refused = arena_decay_ms_set(tsdn, arena, state, decay_ms);

	if (!is_refused && heap_pcp_drain(tsdn, arena_ind_get(arena)) && decay_ms == 0)
		arena_decay(tsdn, arena, false, false);
	return is_refused;
}

/* jemalloc's background threads give back what is free, in time. */
bool heap_background_threads_enable(tsd_t *tsd)
{
	bool is_refused = background_threads_enable(tsd);

	if (!is_refused)
		drain_all(tsd_tsdn(tsd));
	return is_refused;
}

static void wait_for(tsdn_t *tsdn, malloc_mutex_t *lock)
{
	malloc_mutex_lock(tsdn, lock);
	malloc_mutex_unlock(tsdn, lock);
}

/* Who has a lock has read is_on before, and puts in one more. Another thread may be about to empty
   the lists for good: who fails meanwhile does not go without. */
bool heap_pcp_end(tsdn_t *tsdn)
{
	if (atomic_exchange_explicit(&is_on, false, memory_order_relaxed))
		each_lock(tsdn, wait_for);
	return drain_all(tsdn);
}

/* The fewest pages of a time were wanted by nobody in it. */
static void age(tsdn_t *tsdn, arena_t *arena, struct pcp *pcp)
{
	unsigned pages = pages_in(pcp);
	unsigned low = atomic_load_explicit(&pcp->low, memory_order_relaxed);

	drain(tsdn, arena, pcp, pages - (low < pages ? low : pages), false);
	atomic_store_explicit(&pcp->low, pages_in(pcp), memory_order_relaxed);
}

void heap_pcp_look(tsdn_t *tsdn, arena_t *arena)
{
	struct pcps *pcps = get(arena_ind_get(arena));
	uint64_t now, looked;

	if (pcps == NULL)
		return;
	now = now_coarse_ms();
	looked = atomic_load_explicit(&pcps->looked_ms, memory_order_relaxed);
	if (now < looked + IDLE_MS ||
	    !atomic_compare_exchange_strong_explicit(&pcps->looked_ms, &looked, now,
	                                             memory_order_relaxed, memory_order_relaxed))
		return;
	for (unsigned i = 0; i < processors(); i++)
		age(tsdn, arena, &pcps->processors[i]);
}

/* ---- fork() ---- */

void heap_pcp_prefork(tsdn_t *tsdn)
{
	malloc_mutex_prefork(tsdn, &making);
}

void heap_pcp_prefork_lists(tsdn_t *tsdn)
{
	each_lock(tsdn, malloc_mutex_prefork);
}

void heap_pcp_postfork_parent(tsdn_t *tsdn)
{
	each_lock(tsdn, malloc_mutex_postfork_parent);
	malloc_mutex_postfork_parent(tsdn, &making);
}

void heap_pcp_postfork_child(tsdn_t *tsdn)
{
	each_lock(tsdn, malloc_mutex_postfork_child);
	malloc_mutex_postfork_child(tsdn, &making);
}
