/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the heap can do for a request without a system call: compact and borrow (the kernel's
 * compaction, mm/compaction.c). struct heap_ops has the contracts.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/base.h"
#include "heap/heap_free.h"
#include "limits/pages.h"

/* Free extents to be cut up for a request that is smaller by whatever factor. */
#define LG_FIT_ANY SC_PTR_BITS

/* Whether jemalloc would find a free extent for it. Read without the lock, so it is a guess. */
static bool may_fit(ecache_t *ecache, size_t bytes)
{
	ssize_t largest = fb_fls(ecache->eset.bitmap, SC_NPSIZES + 1, SC_NPSIZES);

	return largest >= 0 && bytes <= SC_LARGE_MAXCLASS &&
	       (pszind_t)largest >= sz_psz2ind(sz_psz_quantize_ceil(bytes));
}

/* ---- Compaction ---- */

/* Every free extent once: to take it out merges it with what is free beside it. It goes back to the
   end of the list, so that the list keeps its order. */
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

/* As the kernel puts compaction off that was of no use: after each such time the next 1, 3, 7 ...
   63 requests go without. Of all threads; a lost update costs one attempt. */
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

/* As the kernel has smaller batches for each processor where a zone is short: this thread's cache
   takes so many blocks at a time, and has fewer to give back at the next failure. jemalloc doubles
   that again at each collection, as long as the cache runs dry. */
#define LG_FILL 2

/* lg_fill_div of each size for that: the cache takes a part of 1 / 2^n of what it can hold. Set at
   the first failure. Every failure copies it, so it is not computed each time. */
static uint8_t little[SC_NBINS];

static void know_little(void)
{
	for (unsigned i = 0; i < SC_NBINS; i++) {
		unsigned lg = lg_floor(cache_bin_info_ncached_max(&tcache_bin_info[i]));

		little[i] = (uint8_t)(lg > LG_FILL ? lg - LG_FILL : 1);
	}
}

static void fill_little(tsd_t *tsd)
{
	if (tcache_available(tsd))
		memcpy(tsd_tcache_slowp_get(tsd)->lg_fill_div, little, sizeof little);
}

bool heap_fit_any(void)
{
	bool is_new = opt_lg_extent_max_active_fit != LG_FIT_ANY;

	if (is_new) {
		know_little();
		opt_lg_extent_max_active_fit = LG_FIT_ANY;
	}
	return is_new;
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
	if (heap_fit_any())
		return true;
	tsdn = tsdn_fetch();
	fill_little(tsdn_tsd(tsdn));
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

/* Whether a free extent of this arena has room for the request. All is read without locks. */
static bool has_extent(arena_t *arena, size_t wanted)
{
	pac_t *pac = &arena->pa_shard.pac;

	return may_fit(&pac->ecache_dirty, wanted) || may_fit(&pac->ecache_muzzy, wanted) ||
	       may_fit(&pac->ecache_retained, wanted);
}

/* The same of a slab, of those that threads of that shard take blocks from. */
static bool has_slab(arena_t *arena, szind_t class, unsigned shard)
{
	bin_t *bin = arena_get_bin(arena, class, shard);
	edata_t *slab = bin->slabcur;

	return !edata_heap_empty(&bin->slabs_nonfull) ||
	       (slab != NULL && edata_nfree_get(slab) > 0);
}

static void *borrow_of(arena_t *arena, const struct heap_request *request)
{
	struct heap_request borrowed = *request;

	borrowed.flags = (request->flags & MALLOCX_ZERO) |
	                 (int)(MALLOCX_ARENA(arena_ind_get(arena)) | MALLOCX_TCACHE_NONE);
	/* cppcheck-suppress returnDanglingLifetime ; the heap's, not the request's */
	return heap_ops.alloc(&borrowed);
}

/* A small block: as a thread of another shard would get it, from the own arena as well. */
static void *borrow_small(tsd_t *tsd, arena_t *arena, const struct heap_request *request,
                          size_t wanted)
{
	szind_t class = sz_size2index(usable_size(request));
	uint8_t *shard = &tsd_binshardsp_get(tsd)->binshard[class], own = *shard;
	bool is_own = arena == tsd_arena_get(tsd);
	void *memory = NULL;

	for (unsigned i = 0; i < bin_infos[class].n_shards && memory == NULL; i++) {
		bool may_lend = has_slab(arena, class, i) ||
		                (!is_own && i == own && has_extent(arena, wanted));

		if (!may_lend || (is_own && i == own))
			continue;
		*shard = (uint8_t)i;
		memory = borrow_of(arena, request);
	}
	*shard = own;
	return memory;
}

void *heap_borrow(const struct heap_request *request)
{
	size_t wanted = extent_bytes(request);
	bool is_small = usable_size(request) <= SC_SMALL_MAXCLASS, was_held;
	void *memory = NULL;
	tsdn_t *tsdn;
	arena_t *own;

	if (!malloc_initialized() || request->is_arena_explicit)
		return NULL;
	tsdn = tsdn_fetch();
	own = tsd_arena_get(tsdn_tsd(tsdn));
	was_held = pages_hold(true);
	for (unsigned i = 0; i < manual_arena_base && memory == NULL; i++) {
		arena_t *arena = arena_get(tsdn, i, false);

		if (arena == NULL || !ehooks_are_default(arena_get_ehooks(arena)))
			continue;
		if (is_small && own != NULL)
			memory = borrow_small(tsdn_tsd(tsdn), arena, request, wanted);
		else if (arena != own && has_extent(arena, wanted))
			memory = borrow_of(arena, request);
	}
	pages_hold(was_held);
	return memory;
}
