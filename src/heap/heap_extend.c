/* SPDX-License-Identifier: BSD-2-Clause */
#include "heap/heap_extend.h"

#include "base/base.h"
#include "heap/heap_free.h"
#include "heap/heap_maps.h"
#include "limits/budget.h"
#include "limits/fault.h"
#include "limits/pages.h"

/* So many extents are looked at, the oldest first: as near the limit there are few. */
#define LOOKED_AT 64

/* None of the heap's: of other mappings the system knows. An extent that reaches into these
   addresses has a record in them, wherever that is. */
static bool is_free(const char *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += PAGE)
		if (heap_maps_has_extent(at + i))
			return false;
	return true;
}

/* Where the missing bytes would go; NULL where they can't. Not above all mappings of the heap:
   there may be nothing but the room for the stack to grow. */
static char *place_beside(edata_t *extent, size_t missing)
{
	char *base = edata_base_get(extent), *end = base + edata_size_get(extent);

	if ((have_dss && extent_in_dss(base)) || (uintptr_t)base <= missing)
		return NULL;
	if (!heap_maps_has_extent(base - PAGE) && is_free(base - missing, missing))
		return base - missing;
	return heap_maps_is_below_top(end + missing) && is_free(end, missing) ? end : NULL;
}

static bool may_be_extended(edata_t *extent)
{
	return !edata_is_head_get(extent) && edata_committed_get(extent);
}

static edata_t *find_best(ecache_t *dirty, size_t needed, struct heap_extension *extension)
{
	edata_t *best = NULL, *extent = edata_list_inactive_first(&dirty->eset.lru);

	for (int i = 0; extent != NULL && i < LOOKED_AT; i++) {
		size_t bytes = edata_size_get(extent);
		char *place;

		if (bytes < needed && (best == NULL || bytes > edata_size_get(best)) &&
		    may_be_extended(extent) &&
		    (place = place_beside(extent, needed - bytes)) != NULL) {
			best = extent;
			extension->missing = place;
			extension->missing_bytes = needed - bytes;
		}
		extent = ql_next(&dirty->eset.lru.head, extent, ql_link_inactive);
	}
	return best;
}

static bool take_best(tsdn_t *tsdn, size_t needed, struct heap_extension *extension)
{
	ecache_t *dirty = &extension->pac->ecache_dirty;
	edata_t *best;

	malloc_mutex_lock(tsdn, &dirty->mtx);
	best = find_best(dirty, needed, extension);
	if (best != NULL)
		take_out(tsdn, extension->pac, dirty, best);
	malloc_mutex_unlock(tsdn, &dirty->mtx);
	extension->extent = best;
	return best != NULL;
}

/* The next attempt looks into the thread's arena; but for blocks that are oversize. */
static pac_t *pac_of_next_attempt(tsdn_t *tsdn, size_t needed)
{
	arena_t *arena = tsd_arena_get(tsdn_tsd(tsdn));

	return arena == NULL || arena_ind_get(arena) >= manual_arena_base ||
	                       (oversize_threshold > 0 && needed >= oversize_threshold)
	               ? NULL
	               : pac_of(tsdn, arena_ind_get(arena));
}

bool heap_extend_begin(tsdn_t *tsdn, const struct heap_request *request,
                       struct heap_extension *extension)
{
	size_t needed = extent_bytes(request);

	/* A fault that is injected shall hit what the program asked for. */
	if (needed > SC_LARGE_MAXCLASS || request->alignment > PAGE || request->is_arena_explicit ||
	    opt_retain || fault_is_armed(&fault_page))
		return false;
	/* As jemalloc looks for it. */
	needed = sz_psz_quantize_ceil(needed);
	extension->pac = pac_of_next_attempt(tsdn, needed);
	return extension->pac != NULL && take_best(tsdn, needed, extension);
}

/* The two are one from now on. */
static bool merge(tsdn_t *tsdn, struct heap_extension *extension, edata_t *added)
{
	bool is_above = edata_base_get(added) > edata_base_get(extension->extent);
	edata_t *first = is_above ? extension->extent : added;
	edata_t *second = is_above ? added : extension->extent;

	if (extent_merge_wrapper(tsdn, extension->pac, pac_ehooks_get(extension->pac), first,
	                         second))
		return false;
	extension->extent = first;
	return true;
}

bool heap_extend_map(tsdn_t *tsdn, struct heap_extension *extension)
{
	pac_t *pac = extension->pac;
	ehooks_t *ehooks = pac_ehooks_get(pac);
	size_t bytes = extension->missing_bytes;
	bool commit = true;
	edata_t *added;

	if (!pages_charge(bytes))
		return false;
	added = extent_alloc_wrapper(tsdn, pac, ehooks, extension->missing, bytes, PAGE, false,
	                             &commit, false);
	if (added == NULL) {
		budget_cancel_charge(bytes);
		return false;
	}
	budget_commit_charge(bytes);
	if (!merge(tsdn, extension, added)) {
		extent_dalloc_wrapper(tsdn, pac, ehooks, added);
		return false;
	}
	if (config_stats)
		atomic_fetch_add_zu(&pac->stats->pac_mapped, bytes, ATOMIC_RELAXED);
	return true;
}

void heap_extend_end(tsdn_t *tsdn, struct heap_extension *extension)
{
	ecache_dalloc(tsdn, extension->pac, pac_ehooks_get(extension->pac),
	              &extension->pac->ecache_dirty, extension->extent);
}
