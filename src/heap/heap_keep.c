/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large free extents that stay for a while, as they were given back for nothing before.
 *
 * jemalloc gives back at once what becomes a free extent of 8 MiB (oversize_threshold), and all
 * that is freed in the arena of blocks of 8 MiB and more; other free extents go little by little. A
 * program that frees such a block and takes another one pays a fault for each page. So each arena
 * notes what it gives back in this way, and takes anew within a second; as much as that it keeps
 * the next time (keep.h). Nothing is changed for smaller extents, whose decay is left to jemalloc.
 *
 * MALLOC_CONF wins: where it says anything of these, they are as it says. So do limits. Where
 * retention is off nothing is kept, as addresses are short; nor in arenas made by hand.
 */
#include <stdatomic.h>

#include "base/base.h"
#include "heap/heap_fast.h"
#include "heap/heap_free.h"
#include "heap/keep.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"
#include "limits/budget.h"

/* Kept pages count as used, for the limit and for the watermark: so much of what is left. */
#define ROOM_PART 8

/* Of each arena, struct keep in pieces. All orders are relaxed: a guess, and an update that another
   thread overwrites makes it a worse one. */
static struct {
	atomic_size_t kept, unclaimed, peak, low, high;
	atomic_uint_least64_t at_ms;
} keeps[MALLOCX_ARENA_LIMIT];

/* Where nothing happened to huge blocks for so long they are looked after. After one epoch would be
   too soon: what was given back within it, and is about to be taken anew, would be forgotten. */
#define IDLE_EPOCHS 2

/* How many bytes were taken anew of those given back: for the statistics. */
static atomic_size_t refault_bytes;

/* While this thread gives back all that there is, since it was told to. */
static OOM_TLS bool is_told;

/* What this thread has just freed became an extent that jemalloc would give back at once. */
static OOM_TLS bool is_oversize;

static size_t load(atomic_size_t *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

static void store(atomic_size_t *to, size_t value)
{
	atomic_store_explicit(to, value, memory_order_relaxed);
}

static struct keep get(unsigned arena)
{
	return (struct keep){.kept = load(&keeps[arena].kept),
	                     .unclaimed = load(&keeps[arena].unclaimed),
	                     .peak = load(&keeps[arena].peak),
	                     .low = load(&keeps[arena].low),
	                     .high = load(&keeps[arena].high),
	                     .at_ms = atomic_load_explicit(&keeps[arena].at_ms,
	                                                   memory_order_relaxed)};
}

static void put(unsigned arena, const struct keep *keep)
{
	store(&keeps[arena].kept, keep->kept);
	store(&keeps[arena].unclaimed, keep->unclaimed);
	store(&keeps[arena].peak, keep->peak);
	store(&keeps[arena].low, keep->low);
	store(&keeps[arena].high, keep->high);
	atomic_store_explicit(&keeps[arena].at_ms, keep->at_ms, memory_order_relaxed);
}

/* Settings that are the user's own hold as they are, those of one arena too. */
static bool is_learning(pac_t *pac)
{
	unsigned arena = ecache_ind_get(&pac->ecache_dirty);

	return opt_retain && arena < manual_arena_base &&
	       opt_dirty_decay_ms == DIRTY_DECAY_MS_DEFAULT &&
	       opt_oversize_threshold == OVERSIZE_THRESHOLD_DEFAULT &&
	       pac_decay_ms_get(pac, extent_state_dirty) ==
	               (arena_is_huge(arena) ? 0 : DIRTY_DECAY_MS_DEFAULT) &&
	       ehooks_are_default(pac_ehooks_get(pac));
}

static size_t in_use_in(pac_t *pac)
{
	arena_t *arena = arena_get(TSDN_NULL, ecache_ind_get(&pac->ecache_dirty), false);

	return atomic_load_zu(&arena->pa_shard.nactive, ATOMIC_RELAXED) << LG_PAGE;
}

/* The smallest class that has only extents of so many bytes, and such as jemalloc gives back at
   once. */
static pszind_t class_of(pac_t *pac, size_t bytes)
{
	size_t threshold = atomic_load_zu(&pac->oversize_threshold, ATOMIC_RELAXED);

	bytes = PAGE_CEILING(bytes > threshold ? bytes : threshold);
	return bytes < SC_LARGE_MAXCLASS ? sz_psz2ind(sz_psz_quantize_ceil(bytes))
	                                 : ESET_NPSIZES - 1;
}

/* What this is about: in the arena of huge blocks everything, elsewhere what is oversize. */
static size_t free_bytes(pac_t *pac)
{
	ecache_t *dirty = &pac->ecache_dirty;
	size_t bytes = 0;

	if (arena_is_huge(ecache_ind_get(dirty)))
		return bytes_in(dirty);
	for (pszind_t class = class_of(pac, 0); class < ESET_NPSIZES; class ++)
		bytes += ecache_nbytes_get(dirty, class);
	return bytes;
}

/* in_use: of all arenas together, by now. */
static struct keep get_aged(tsdn_t *tsdn, pac_t *pac, size_t *in_use)
{
	struct keep keep = get(ecache_ind_get(&pac->ecache_dirty));

	*in_use = heap_sum(tsdn, in_use_in);
	keep_age(&keep, now_coarse_ms(), *in_use, free_bytes(pac));
	return keep;
}

static size_t room_bytes(void)
{
	size_t high, low, charged = budget_charged(), room = budget_room();

	budget_watermarks(&high, &low);
	high = high > charged ? high - charged : 0;
	return min_size(high, room);
}

/* The last of jemalloc's own arenas, where there is one for huge blocks. */
static pac_t *huge_pac(tsdn_t *tsdn)
{
	unsigned index = manual_arena_base - 1;

	return arena_is_huge(index) ? pac_of(tsdn, index) : NULL;
}

static size_t allowed_bytes(tsdn_t *tsdn, const struct keep *keep, pac_t *pac, size_t in_use)
{
	size_t own = free_bytes(pac), all = heap_sum(tsdn, evictable_in), room;
	pac_t *huge = huge_pac(tsdn);
	size_t allowed = keep_allowed(keep, in_use, huge != NULL ? in_use_in(huge) : 0,
	                              all > own ? all - own : 0);

	room = allowed > 0 ? room_bytes() / ROOM_PART : 0;
	return min_size(allowed, room);
}

/* extent.c asks, with the list's lock held, whether an extent that is large enough is given back
   at once: where that is decay's matter, decay would be on. */
ssize_t heap_pac_decay_ms_get(pac_t *pac, extent_state_t state)
{
	if (!is_learning(pac))
		return pac_decay_ms_get(pac, state);
	is_oversize = true;
	return -1;
}

/* Takes one of the extents that jemalloc would have given back: the smallest that is enough, or the
   largest. The other extents of such an arena go in their time, and aren't touched. */
static edata_t *take_oversize(tsdn_t *tsdn, pac_t *pac, size_t excess)
{
	ecache_t *dirty = &pac->ecache_dirty;
	edata_t *extent = NULL;
	ssize_t class;

	malloc_mutex_lock(tsdn, &dirty->mtx);
	class = (ssize_t)fb_ffs(dirty->eset.bitmap, ESET_NPSIZES, class_of(pac, excess));
	if (class == ESET_NPSIZES)
		class = fb_fls(dirty->eset.bitmap, ESET_NPSIZES, ESET_NPSIZES - 1);
	if (class >= (ssize_t)class_of(pac, 0)) {
		extent = edata_heap_first(&dirty->eset.bins[class].heap);
		take_out(tsdn, pac, dirty, extent);
	}
	malloc_mutex_unlock(tsdn, &dirty->mtx);
	return extent;
}

static void settle(tsdn_t *tsdn, pac_t *pac)
{
	unsigned arena = ecache_ind_get(&pac->ecache_dirty);
	size_t in_use, bytes;
	struct keep keep = get_aged(tsdn, pac, &in_use);
	size_t allowed = allowed_bytes(tsdn, &keep, pac, in_use);
	edata_t *extent;

	while ((bytes = free_bytes(pac)) > allowed &&
	       (extent = take_oversize(tsdn, pac, bytes - allowed)) != NULL)
		keep_gave(&keep, heap_evict_extent(tsdn, pac, extent));
	put(arena, &keep);
}

void heap_ecache_dalloc(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, ecache_t *ecache,
                        edata_t *extent)
{
	/* What heap_join.c put back by itself may have left it, in another arena. */
	is_oversize = false;
	ecache_dalloc(tsdn, pac, ehooks, ecache, extent);
	if (likely(!is_oversize))
		return;
	is_oversize = false;
	if (ecache == &pac->ecache_dirty && !arena_is_huge(ecache_ind_get(ecache)))
		settle(tsdn, pac);
}

edata_t *heap_ecache_evict(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, ecache_t *ecache,
                           size_t npages_min)
{
	unsigned arena = ecache_ind_get(ecache);
	struct keep keep;
	size_t in_use, allowed;
	edata_t *extent;

	if (is_told || !arena_is_huge(arena) || ecache != &pac->ecache_dirty || !is_learning(pac))
		return ecache_evict(tsdn, pac, ehooks, ecache, npages_min);
	keep = get_aged(tsdn, pac, &in_use);
	allowed = allowed_bytes(tsdn, &keep, pac, in_use) >> LG_PAGE;
	extent = ecache_evict(tsdn, pac, ehooks, ecache,
	                      allowed > npages_min ? allowed : npages_min);
	if (extent != NULL)
		keep_gave(&keep, edata_size_get(extent));
	put(arena, &keep);
	return extent;
}

/* What is kept makes room for what is taken: in_use is with that. */
static void make_room(tsdn_t *tsdn, pac_t *pac, struct keep *keep, size_t in_use)
{
	ecache_t *dirty = &pac->ecache_dirty;
	size_t allowed = allowed_bytes(tsdn, keep, pac, in_use);
	edata_t *extent;

	while ((extent = ecache_evict(tsdn, pac, pac_ehooks_get(pac), dirty, allowed >> LG_PAGE)) !=
	       NULL)
		keep_gave(keep, heap_evict_extent(tsdn, pac, extent));
}

void heap_keep_took(tsdn_t *tsdn, pac_t *pac, size_t bytes, size_t size)
{
	unsigned arena = ecache_ind_get(&pac->ecache_dirty);
	struct keep keep;
	size_t in_use, before;

	if ((load(&keeps[arena].kept) | load(&keeps[arena].unclaimed)) == 0 || !is_learning(pac))
		return;
	keep = get_aged(tsdn, pac, &in_use);
	before = keep.unclaimed;
	keep_took(&keep, bytes);
	atomic_fetch_add_explicit(&refault_bytes, before - keep.unclaimed, memory_order_relaxed);
	if (arena_is_huge(arena))
		make_room(tsdn, pac, &keep, add_saturated(in_use, size));
	put(arena, &keep);
}

size_t heap_keep_refaults(void)
{
	return load(&refault_bytes);
}

void heap_keep_look(tsdn_t *tsdn)
{
	pac_t *pac = huge_pac(tsdn);
	unsigned index = manual_arena_base - 1;

	if (pac != NULL && bytes_in(&pac->ecache_dirty) > 0 && is_learning(pac) &&
	    now_coarse_ms() >= get(index).at_ms + IDLE_EPOCHS * KEEP_EPOCH_MS)
		arena_decay(tsdn, arena_get(tsdn, index, false), false, true);
}

void heap_arena_decay(tsdn_t *tsdn, arena_t *arena, bool is_background_thread, bool all)
{
	bool was_told = is_told;

	is_told = all;
	if (all)
		heap_pcp_drain(tsdn, arena_ind_get(arena));
	else
		heap_pcp_look(tsdn, arena);
	arena_decay(tsdn, arena, is_background_thread, all);
	is_told = was_told;
	if (!all)
		heap_keep_look(tsdn);
}
