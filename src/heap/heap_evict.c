/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the heap can give back to the system for a request: about what it lacks, oldest first (the
 * kernel's direct reclaim, mm/vmscan.c). struct heap_ops has the contracts.
 */
#include <stdatomic.h>
#include <unistd.h>

#include "base/base.h"
#include "heap/heap_extend.h"
#include "heap/heap_free.h"
#include "heap/heap_group.h"
#include "heap/heap_maps.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"
#include "limits/budget.h"
#include "limits/pages.h"

/* The retained addresses that one thread tried to unmap, all in vain: as long as there are no more,
   nobody looks again. The sum of all that is retained would be wrong: another thread may have added
   addresses that this one did not try. Relaxed: a guess. */
static atomic_size_t futile_bytes;

size_t heap_evict_extent(tsdn_t *tsdn, pac_t *pac, edata_t *extent)
{
	size_t bytes = edata_size_get(extent);

	extent_dalloc_wrapper(tsdn, pac, pac_ehooks_get(pac), extent);
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

size_t heap_evict_oldest(tsdn_t *tsdn, pac_t *pac, ecache_t *ecache)
{
	edata_t *extent = ecache_evict(tsdn, pac, pac_ehooks_get(pac), ecache, 0);

	return extent != NULL ? heap_evict_extent(tsdn, pac, extent) : 0;
}

/* Takes a retained extent out, the oldest, so that nobody else sees it; NULL where there is
   none. */
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

static size_t unmap_retained(tsdn_t *tsdn, pac_t *pac, size_t *left, size_t *futile)
{
	edata_t *extent = take_retained(tsdn, pac, left);
	size_t bytes;

	if (extent == NULL)
		return 0;
	bytes = edata_size_get(extent);
	if (!(have_dss && extent_in_dss(edata_base_get(extent))) &&
	    heap_maps_try_unmap(edata_base_get(extent), bytes)) {
		heap_grow_unmapped(bytes);
		heap_charge_unmapped(extent);
		edata_cache_put(tsdn, pac->edata_cache, extent);
		return bytes;
	}
	put_retained(tsdn, pac, extent);
	*futile += bytes;
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

static size_t evict_retained(tsdn_t *tsdn, pac_t *pac, size_t wanted, size_t *futile)
{
	size_t left = bytes_in(&pac->ecache_retained), given = 0;

	while (left > 0 && given < wanted)
		given += unmap_retained(tsdn, pac, &left, futile);
	return given;
}

/* The arena with the most to give. */
static pac_t *richest(tsdn_t *tsdn)
{
	pac_t *best = NULL;
	size_t most = 0;

	for (unsigned i = 0; i < manual_arena_base; i++) {
		pac_t *pac = pac_of(tsdn, i);
		size_t bytes = pac != NULL ? evictable_in(pac) : 0;

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
			bytes = heap_evict_oldest(tsdn, pac, &pac->ecache_dirty);
			if (bytes == 0)
				bytes = heap_evict_oldest(tsdn, pac, &pac->ecache_muzzy);
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

/* What there is to give, or to try. */
static size_t candidate_bytes(tsdn_t *tsdn, bool is_unmapping)
{
	size_t retained = is_unmapping ? heap_sum(tsdn, retained_bytes) : 0;

	if (retained <= atomic_load_explicit(&futile_bytes, memory_order_relaxed))
		retained = 0;
	return heap_evictable() + retained;
}

/* Addresses that are retained cost nothing to give: they come first. */
static size_t evict(tsdn_t *tsdn, size_t wanted, bool is_unmapping)
{
	size_t given = 0, futile = 0;

	for (unsigned i = 0; is_unmapping && i < manual_arena_base && given < wanted; i++) {
		pac_t *pac = pac_of(tsdn, i);

		if (pac != NULL)
			given += evict_retained(tsdn, pac, wanted - given, &futile);
	}
	if (is_unmapping && given == 0)
		atomic_store_explicit(&futile_bytes, futile, memory_order_relaxed);
	if (given < wanted)
		given += evict_dirty(tsdn, wanted - given);
	return given;
}

/* Arenas with extents that are not counted here: what they would give nobody knows. */
static bool has_made_by_hand(tsdn_t *tsdn)
{
	/* Not by their number: one that could not be made has one too. */
	for (unsigned i = manual_arena_base; i < narenas_total_get(); i++)
		if (!heap_is_reserve(i) && arena_get(tsdn, i, false) != NULL)
			return true;
	return false;
}

/* What arenas made by hand have free can't be counted, nor taken piece by piece: they may be
   destroyed meanwhile. The control interface keeps them. One of them is the reserve's. */
static size_t purge_made_by_hand(enum group_keeps keeps)
{
	size_t before = budget_charged(), after;

	if (!has_made_by_hand(tsdn_fetch()))
		return 0;
	heap_purge(keeps);
	after = budget_charged();
	return before > after ? before - after : 0;
}

/* What the block lacks where all that is free in the heap is given back: to unmap that takes it
   from smaller blocks, and may help nobody. 0 where nobody can say. */
static size_t lacking_bytes(const struct heap_request *request, size_t candidates)
{
	size_t needed = extent_bytes(request);

	/* One that grows where it lies needs less. */
	if (candidates >= needed || needed > SC_LARGE_MAXCLASS || request->old != NULL ||
	    request->is_arena_explicit || has_made_by_hand(tsdn_fetch()))
		return 0;
	return PAGE_CEILING(needed - candidates);
}

static bool lacks_addresses(const struct heap_request *request, size_t candidates)
{
	size_t lacking = lacking_bytes(request, candidates);

	/* Where mappings are short, not addresses, one less may be enough. */
	return lacking > 0 && heap_maps_has_slot() && !heap_maps_has_room(lacking);
}

static bool lacks_pages(const struct heap_request *request, size_t candidates)
{
	return lacking_bytes(request, candidates) > budget_room();
}

/* What is missing beside an extent that is free already, where there is one: of addresses that were
   given back before, some may be left. */
static size_t evict_beside(tsdn_t *tsdn, const struct heap_request *request, size_t wanted)
{
	struct heap_extension extension;
	size_t given;

	if (!heap_extend_begin(tsdn, request, &extension))
		return evict(tsdn, wanted, true);
	if (heap_extend_map(tsdn, &extension)) {
		given = extension.missing_bytes;
	} else {
		given = evict(tsdn, extension.missing_bytes, true);
		if (given > 0)
			heap_extend_map(tsdn, &extension);
	}
	heap_extend_end(tsdn, &extension);
	return given;
}

/* Where addresses are short, as the system refused a mapping. It refuses one for want of mappings
   too: then to cut more of them in two would only make that worse. */
static size_t evict_addresses(tsdn_t *tsdn, const struct heap_request *request, size_t bytes)
{
	size_t wanted = add_saturated(bytes, extent_bytes(request)), given = 0;
	size_t candidates = candidate_bytes(tsdn, true);
	bool could_split;

	if (candidates == 0 || lacks_addresses(request, candidates))
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
	if (given == 0 && bytes == 0)
		given = evict_beside(tsdn, request, wanted);
	else if (given < wanted)
		given += evict(tsdn, wanted - given, true);
	heap_maps_let_split(could_split);
	return given;
}

static size_t evict_pages(tsdn_t *tsdn, const struct heap_request *request, size_t bytes)
{
	size_t wanted = add_saturated(bytes, extent_bytes(request));
	size_t candidates = candidate_bytes(tsdn, false);

	return candidates == 0 || lacks_pages(request, candidates)
	               ? 0
	               : evict(tsdn, wanted < candidates ? wanted : candidates, false);
}

size_t heap_evict(const struct heap_request *request, size_t bytes, enum group_keeps keeps)
{
	size_t given;
	bool is_all = bytes == SIZE_MAX, was_expected;
	tsdn_t *tsdn;

	if (!malloc_initialized())
		return 0;
	tsdn = tsdn_fetch();
	/* What was asked when a part was to be evicted would be refused again. */
	was_expected = pages_expect_refusal(is_all);
	if (pages_last_refusal() == PAGES_REFUSED_BY_SYSTEM)
		given = evict_addresses(tsdn, request, bytes);
	else
		given = evict_pages(tsdn, request, bytes);
	pages_expect_refusal(was_expected);
	if (is_all) {
		given += purge_made_by_hand(keeps);
		/* Nothing was short: another attempt may do. */
		given += pages_last_refusal() == PAGES_REFUSED_BY_FAULT;
		heap_purge_refused();
		heap_maps_retry();
	}
	return given;
}
