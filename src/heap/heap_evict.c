/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the heap can do for a request by itself, cheapest first: compact, borrow, evict (the kernel's
 * compaction and direct reclaim, mm/compaction.c and mm/vmscan.c). struct heap_ops has the contracts.
 *
 * Only arenas that jemalloc made by itself, with its own extent hooks: an arena made by hand may be
 * destroyed at any moment, and its hooks are the program's.
 */
#include <stdatomic.h>
#include <unistd.h>

#include "base/base.h"
#include "config/options.h"
#include "heap/heap_fast.h"
#include "heap/heap_maps.h"
#include "heap/heap_ops.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"
#include "limits/budget.h"
#include "limits/pages.h"

/* Free extents to be cut up for a request that is smaller by whatever factor. */
#define LG_FIT_ANY SC_PTR_BITS

/* What a call of evict gives back at least: the kernel's SWAP_CLUSTER_MAX. */
#define CLUSTER_BYTES ((size_t)32 << LG_PAGE)

static pac_t *pac_of(tsdn_t *tsdn, unsigned index)
{
	arena_t *arena = arena_get(tsdn, index, false);

	return arena != NULL && ehooks_are_default(arena_get_ehooks(arena)) ? &arena->pa_shard.pac
	                                                                    : NULL;
}

static size_t bytes_in(ecache_t *ecache)
{
	return ecache_npages_get(ecache) << LG_PAGE;
}

/* The bytes of the extent that the request takes. SC_LARGE_MAXCLASS is not exceeded: alloc() sees to that. */
static size_t extent_bytes(const struct heap_request *request)
{
	size_t size = request->size > 0 ? request->size : 1, usable;

	if (size > SC_LARGE_MAXCLASS || request->alignment > SC_LARGE_MAXCLASS)
		return SIZE_MAX;
	usable = request->alignment == 0 ? sz_s2u(size) : sz_sa2u(size, request->alignment);
	if (usable == 0 || usable > SC_LARGE_MAXCLASS)
		return SIZE_MAX;
	if (usable <= SC_SMALL_MAXCLASS)
		return bin_infos[sz_size2index(usable)].slab_size;
	return usable + sz_large_pad;
}

/* Whether jemalloc would find a free extent for it. Read without the lock, so it is a guess. */
static bool may_fit(ecache_t *ecache, size_t bytes)
{
	ssize_t largest = fb_fls(ecache->eset.bitmap, SC_NPSIZES + 1, SC_NPSIZES);

	return largest >= 0 && bytes <= SC_LARGE_MAXCLASS &&
	       (pszind_t)largest >= sz_psz2ind(sz_psz_quantize_ceil(bytes));
}

/* ---- Compaction ---- */

/* Every free extent once: to take it out merges it with what is free beside it. It goes back to the end of
   the list, so that the list keeps its order. */
static void merge_free(tsdn_t *tsdn, pac_t *pac, ecache_t *ecache)
{
	ehooks_t *ehooks = pac_ehooks_get(pac);
	size_t left = bytes_in(ecache), bytes;
	edata_t *extent;

	while (left > 0 && (extent = ecache_evict(tsdn, pac, ehooks, ecache, 0)) != NULL) {
		bytes = edata_size_get(extent);
		left -= bytes < left ? bytes : left;
		ecache_dalloc(tsdn, pac, ehooks, ecache, extent);
	}
}

/* As the kernel puts compaction off that was of no use: after each such time the next 1, 3, 7 ... 63
   requests go without. Of all threads; a lost update costs one attempt. */
#define DEFER_SHIFT_MAX 6
static atomic_uint defer_shift, considered;

static bool is_deferred(void)
{
	unsigned shift = atomic_load_explicit(&defer_shift, memory_order_relaxed);

	return atomic_fetch_add_explicit(&considered, 1, memory_order_relaxed) + 1 < 1U << shift;
}

/* Until something comes of it. */
static void defer(void)
{
	unsigned shift = atomic_load_explicit(&defer_shift, memory_order_relaxed);

	atomic_store_explicit(&considered, 0, memory_order_relaxed);
	if (shift < DEFER_SHIFT_MAX)
		atomic_store_explicit(&defer_shift, shift + 1, memory_order_relaxed);
}

bool heap_compact(const struct heap_request *request)
{
	size_t wanted = extent_bytes(request);
	tsdn_t *tsdn;
	arena_t *arena;
	pac_t *pac;

	if (!malloc_initialized() || request->is_arena_explicit)
		return false;
	/* From now on: a program that is short of memory can't be choosy. */
	if (opt_lg_extent_max_active_fit != LG_FIT_ANY) {
		opt_lg_extent_max_active_fit = LG_FIT_ANY;
		return true;
	}
	tsdn = tsdn_fetch();
	arena = tsd_arena_get(tsdn_tsd(tsdn));
	pac = arena != NULL ? pac_of(tsdn, arena_ind_get(arena)) : NULL;
	if (pac == NULL || bytes_in(&pac->ecache_dirty) < wanted || is_deferred())
		return false;
	if (!may_fit(&pac->ecache_dirty, wanted)) {
		merge_free(tsdn, pac, &pac->ecache_dirty);
		if (may_fit(&pac->ecache_dirty, wanted)) {
			atomic_store_explicit(&defer_shift, 0, memory_order_relaxed);
			return true;
		}
	}
	defer();
	return false;
}

/* ---- Borrowing ---- */

/* Whether a slab of this arena has room for the request, or a free extent does. All is read without locks. */
static bool may_lend(arena_t *arena, const struct heap_request *request, size_t wanted)
{
	pac_t *pac = &arena->pa_shard.pac;
	size_t size = request->size > 0 ? request->size : 1;
	edata_t *slab;
	bin_t *bin;

	if (may_fit(&pac->ecache_dirty, wanted) || may_fit(&pac->ecache_muzzy, wanted) ||
	    may_fit(&pac->ecache_retained, wanted))
		return true;
	if (size > SC_SMALL_MAXCLASS || request->alignment > PAGE)
		return false;
	size = request->alignment == 0 ? sz_s2u(size) : sz_sa2u(size, request->alignment);
	if (size > SC_SMALL_MAXCLASS)
		return false;
	bin = arena_get_bin(arena, sz_size2index(size), 0);
	slab = bin->slabcur;
	return !edata_heap_empty(&bin->slabs_nonfull) ||
	       (slab != NULL && edata_nfree_get(slab) > 0);
}

void *heap_borrow(const struct heap_request *request)
{
	size_t wanted = extent_bytes(request);
	struct heap_request borrowed = *request;
	void *memory = NULL;
	tsdn_t *tsdn;
	arena_t *own;
	bool was_held;

	if (!malloc_initialized() || request->is_arena_explicit)
		return NULL;
	tsdn = tsdn_fetch();
	own = tsd_arena_get(tsdn_tsd(tsdn));
	was_held = pages_hold(true);
	for (unsigned i = 0; i < manual_arena_base && memory == NULL; i++) {
		arena_t *arena = arena_get(tsdn, i, false);

		if (arena == NULL || arena == own || !ehooks_are_default(arena_get_ehooks(arena)) ||
		    !may_lend(arena, request, wanted))
			continue;
		borrowed.flags = (request->flags & MALLOCX_ZERO) |
		                 (int)(MALLOCX_ARENA(i) | MALLOCX_TCACHE_NONE);
		memory = heap_ops.alloc(&borrowed);
	}
	pages_hold(was_held);
	/* cppcheck-suppress returnDanglingLifetime ; the heap's, not the request's */
	return memory;
}

/* ---- Eviction ---- */

/* The addresses that were retained when none of them could be unmapped: as long as there are no more, nobody
   looks again. Relaxed: a guess. */
static atomic_size_t futile_bytes;

/* One extent, the oldest. Bytes given back; 0 where there is none. */
static size_t evict_oldest(tsdn_t *tsdn, pac_t *pac, ecache_t *ecache)
{
	ehooks_t *ehooks = pac_ehooks_get(pac);
	edata_t *extent = ecache_evict(tsdn, pac, ehooks, ecache, 0);
	size_t bytes;

	if (extent == NULL)
		return 0;
	bytes = edata_size_get(extent);
	extent_dalloc_wrapper(tsdn, pac, ehooks, extent);
	if (config_stats) {
		LOCKEDINT_MTX_LOCK(tsdn, *pac->stats_mtx);
		locked_inc_u64(tsdn, LOCKEDINT_MTX(*pac->stats_mtx),
		               &pac->stats->decay_dirty.nmadvise, 1);
		locked_inc_u64(tsdn, LOCKEDINT_MTX(*pac->stats_mtx),
		               &pac->stats->decay_dirty.purged, bytes >> LG_PAGE);
		LOCKEDINT_MTX_UNLOCK(tsdn, *pac->stats_mtx);
		atomic_fetch_sub_zu(&pac->stats->pac_mapped, bytes, ATOMIC_RELAXED);
	}
	return bytes;
}

/* Takes a retained extent out, the oldest, so that nobody else sees it; NULL where there is none. */
static edata_t *take_retained(tsdn_t *tsdn, pac_t *pac, size_t *left)
{
	edata_t *extent = ecache_evict(tsdn, pac, pac_ehooks_get(pac), &pac->ecache_retained, 0);
	size_t bytes;

	if (extent == NULL) {
		*left = 0;
		return NULL;
	}
	bytes = edata_size_get(extent);
	*left -= bytes < *left ? bytes : *left;
	edata_addr_set(extent, edata_base_get(extent));
	edata_state_set(extent, extent_state_active);
	return extent;
}

/* Back to the end of the list. Its records were there a moment ago, and take no new memory. */
static void put_retained(tsdn_t *tsdn, pac_t *pac, edata_t *extent)
{
	if (!emap_register_boundary(tsdn, pac->emap, extent, SC_NSIZES, false))
		extent_record(tsdn, pac, pac_ehooks_get(pac), &pac->ecache_retained, extent);
}

static size_t unmap_retained(tsdn_t *tsdn, pac_t *pac, size_t *left)
{
	edata_t *extent = take_retained(tsdn, pac, left);
	size_t bytes;

	if (extent == NULL)
		return 0;
	bytes = edata_size_get(extent);
	if (!(have_dss && extent_in_dss(edata_base_get(extent))) &&
	    heap_maps_try_unmap(edata_base_get(extent), bytes)) {
		heap_grow_unmapped(bytes);
		edata_cache_put(tsdn, pac->edata_cache, extent);
		return bytes;
	}
	put_retained(tsdn, pac, extent);
	return 0;
}

void heap_purge_refused(void)
{
	tsdn_t *tsdn = tsdn_fetch();

	for (unsigned i = 0; heap_charge_has_refused() && i < manual_arena_base; i++) {
		pac_t *pac = pac_of(tsdn, i);
		size_t left = pac != NULL ? bytes_in(&pac->ecache_retained) : 0;
		edata_t *extent;

		while (left > 0 && (extent = take_retained(tsdn, pac, &left)) != NULL) {
			if (!edata_zeroed_get(extent) &&
			    heap_charge_purge_again(edata_base_get(extent), edata_size_get(extent)))
				edata_zeroed_set(extent, true);
			put_retained(tsdn, pac, extent);
		}
	}
}

static size_t evict_retained(tsdn_t *tsdn, pac_t *pac, size_t wanted)
{
	size_t left = bytes_in(&pac->ecache_retained), given = 0;

	while (left > 0 && given < wanted)
		given += unmap_retained(tsdn, pac, &left);
	return given;
}

static size_t evictable_bytes(pac_t *pac)
{
	return bytes_in(&pac->ecache_dirty) + bytes_in(&pac->ecache_muzzy);
}

/* The arena with the most to give. */
static pac_t *richest(tsdn_t *tsdn)
{
	pac_t *best = NULL;
	size_t most = 0;

	for (unsigned i = 0; i < manual_arena_base; i++) {
		pac_t *pac = pac_of(tsdn, i);
		size_t bytes = pac != NULL ? evictable_bytes(pac) : 0;

		if (bytes > most) {
			most = bytes;
			best = pac;
		}
	}
	return best;
}

static size_t evict_dirty(tsdn_t *tsdn, size_t wanted)
{
	size_t given = 0, bytes;
	pac_t *pac;

	while (given < wanted && (pac = richest(tsdn)) != NULL) {
		do {
			bytes = evict_oldest(tsdn, pac, &pac->ecache_dirty);
			if (bytes == 0)
				bytes = evict_oldest(tsdn, pac, &pac->ecache_muzzy);
			given += bytes;
		} while (bytes > 0 && given < wanted);
		if (given == 0)
			break;
	}
	return given;
}

static size_t retained_bytes(pac_t *pac)
{
	return bytes_in(&pac->ecache_retained);
}

static size_t sum(tsdn_t *tsdn, size_t (*bytes_of)(pac_t *pac))
{
	size_t bytes = 0;

	for (unsigned i = 0; i < manual_arena_base; i++) {
		pac_t *pac = pac_of(tsdn, i);

		bytes += pac != NULL ? bytes_of(pac) : 0;
	}
	return bytes;
}

/* What there is to give, or to try. */
static size_t candidate_bytes(tsdn_t *tsdn, bool is_unmapping)
{
	size_t retained = is_unmapping ? sum(tsdn, retained_bytes) : 0;

	if (retained <= atomic_load_explicit(&futile_bytes, memory_order_relaxed))
		retained = 0;
	return sum(tsdn, evictable_bytes) + retained;
}

/* Addresses that are retained cost nothing to give: they come first. */
static size_t evict(tsdn_t *tsdn, size_t wanted, bool is_unmapping)
{
	size_t given = 0;

	for (unsigned i = 0; is_unmapping && i < manual_arena_base && given < wanted; i++) {
		pac_t *pac = pac_of(tsdn, i);

		if (pac != NULL)
			given += evict_retained(tsdn, pac, wanted - given);
	}
	if (is_unmapping && given == 0)
		atomic_store_explicit(&futile_bytes, sum(tsdn, retained_bytes),
		                      memory_order_relaxed);
	if (given < wanted)
		given += evict_dirty(tsdn, wanted - given);
	return given;
}

/* What arenas made by hand have free can't be counted, nor taken piece by piece: they may be destroyed
   meanwhile. The control interface keeps them. One of them is the reserve's. */
static size_t purge_made_by_hand(void)
{
	size_t before = budget_charged(), after;

	if (narenas_total_get() <= manual_arena_base + (options.reserve_bytes > 0))
		return 0;
	heap_ops.purge_all();
	after = budget_charged();
	return before > after ? before - after : 0;
}

/* Where addresses are short, as the system refused a mapping. It refuses one for want of mappings too: then
   to cut more of them in two would only make that worse. */
static size_t evict_addresses(tsdn_t *tsdn, size_t wanted)
{
	size_t candidates = candidate_bytes(tsdn, true), given = 0;
	bool could_split;

	if (candidates == 0)
		return 0;
	/* What others free meanwhile is not waited for. */
	wanted = wanted < candidates ? wanted : candidates;
	heap_end_retention();
	could_split = heap_maps_let_split(true);
	/* There may not be addresses left for a single page: one extent makes room for it. */
	if (!heap_maps_has_slot()) {
		given = evict(tsdn, 1, true);
		heap_maps_let_split(heap_maps_has_slot());
	}
	if (given < wanted)
		given += evict(tsdn, wanted - given, true);
	heap_maps_let_split(could_split);
	return given;
}

static size_t evict_pages(tsdn_t *tsdn, size_t wanted)
{
	size_t candidates = candidate_bytes(tsdn, false);

	return candidates == 0 ? 0 : evict(tsdn, wanted < candidates ? wanted : candidates, false);
}

size_t heap_evict(const struct heap_request *request, size_t bytes)
{
	size_t wanted = add_saturated(bytes, extent_bytes(request)), given;
	bool is_all = bytes == SIZE_MAX;
	tsdn_t *tsdn;

	if (!malloc_initialized())
		return 0;
	tsdn = tsdn_fetch();
	if (wanted < CLUSTER_BYTES)
		wanted = CLUSTER_BYTES;
	if (pages_last_refusal() == PAGES_REFUSED_BY_SYSTEM)
		given = evict_addresses(tsdn, wanted);
	else
		given = evict_pages(tsdn, wanted);
	if (is_all) {
		given += purge_made_by_hand();
		/* Nothing was short: another attempt may do. */
		given += pages_last_refusal() == PAGES_REFUSED_BY_FAULT;
		heap_purge_refused();
		heap_maps_retry();
	}
	return given;
}
