/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What counts against the budget: pages that may be resident, as far as the heap has a say in it.
 *
 * An extent is charged when the heap takes it into use, from a new mapping or from what is
 * retained, and no longer when its pages are given back or unmapped. In between it may be free and
 * dirty: it stays charged. jemalloc's own records are charged as far as it has begun to use them:
 * by the page, not by the 2 MiB in which it maps them; of its tree of addresses, the pages that
 * it may have written (heap_leaves.c). What jemalloc calls leads here
 * (heap_glue.h). Arenas with extent hooks of the program's are the program's to count.
 */
#include <stdatomic.h>
#include <sys/mman.h>

#include "base/base.h"
#include "heap/heap_fast.h"
#include "heap/heap_maps.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"
#include "limits/budget.h"
#include "limits/group.h"
#include "limits/headroom.h"
#include "limits/pages.h"

/* Retained extents whose pages the system refused to take back (they may be locked in memory):
   these are still charged. Relaxed: a sum that stands for itself alone. */
static atomic_size_t refused_bytes;

/* While this thread skips a part of what sbrk() gave, which was never charged. */
static OOM_TLS bool is_in_gap;

/* The arena that this thread gives pages of back. */
static OOM_TLS unsigned giving_arena;

unsigned heap_charge_arena(unsigned arena)
{
	unsigned was = giving_arena;

	giving_arena = arena;
	return was;
}

/* What is used again of that, or could be given back after all. */
static void uncharge_refused(size_t bytes)
{
	size_t refused = atomic_load_explicit(&refused_bytes, memory_order_relaxed), part;

	do
		part = bytes < refused ? bytes : refused;
	while (part > 0 &&
	       !atomic_compare_exchange_weak_explicit(&refused_bytes, &refused, refused - part,
	                                              memory_order_relaxed, memory_order_relaxed));
	if (part > 0)
		budget_uncharge(part);
}

/* What of each arena's records is charged. Relaxed: sums that stand for themselves alone. */
static atomic_size_t records[MALLOCX_ARENA_LIMIT];

/* False where they have grown beyond the budget: then nothing else may. */
static bool charge_records(base_t *base, unsigned arena)
{
	size_t now = __atomic_load_n(&base->resident, __ATOMIC_RELAXED);
	size_t before = atomic_load_explicit(&records[arena], memory_order_relaxed);

	if (arena == 0)
		now -= min_size(now, heap_leaves_untouched());
	if (now <= before)
		return true;
	if (!pages_charge(now - before))
		return false;
	/* Another thread has charged them meanwhile. */
	if (!atomic_compare_exchange_strong_explicit(&records[arena], &before, now,
	                                             memory_order_relaxed, memory_order_relaxed)) {
		budget_cancel_charge(now - before);
	} else {
		budget_commit_charge(now - before);
		headroom_mapped(now - before);
	}
	return true;
}

/* The first arena's are those that all arenas share as well. */
static bool charge_records_of(tsdn_t *tsdn, unsigned index)
{
	arena_t *arena = arena_get(tsdn, index, false);

	return charge_records(b0get(), 0) &&
	       (index == 0 || arena == NULL || charge_records(arena->base, index));
}

/* An arena that was made by hand is destroyed. */
void heap_base_delete(tsdn_t *tsdn, base_t *base)
{
	size_t charged =
		atomic_exchange_explicit(&records[base_ind_get(base)], 0, memory_order_relaxed);

	headroom_unmapped(charged);
	base_delete(tsdn, base);
	budget_uncharge(charged);
}

bool heap_charge_grow(tsdn_t *tsdn, unsigned arena, size_t size)
{
	if (!pages_charge_arena(arena, size))
		return false;
	if (charge_records_of(tsdn, arena))
		return true;
	pages_cancel_arena(arena, size);
	return false;
}

static edata_t *see_grown(edata_t *extent, unsigned arena, size_t size)
{
	if (extent == NULL)
		pages_cancel_arena(arena, size);
	else
		pages_commit_arena(arena, size);
	return extent;
}

edata_t *heap_charge_grown(edata_t *extent, unsigned arena, size_t size)
{
	if (see_grown(extent, arena, size) != NULL && unlikely(!edata_zeroed_get(extent)))
		uncharge_refused(size);
	return extent;
}

edata_t *heap_charge_alloc_grow(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, ecache_t *ecache,
                                edata_t *expand, size_t size, size_t alignment, bool zero,
                                bool guarded)
{
	edata_t *extent;

	if (!ehooks_are_default(ehooks))
		return ecache_alloc_grow(tsdn, pac, ehooks, ecache, expand, size, alignment, zero,
		                         guarded);
	if (!heap_charge_grow(tsdn, ecache_ind_get(ecache), size))
		return NULL;
	heap_grow_prepare(tsdn, pac, ehooks, ecache, size, alignment, expand != NULL || guarded);
	extent = ecache_alloc_grow(tsdn, pac, ehooks, ecache, expand, size, alignment, zero,
	                           guarded);
	return heap_charge_grown(extent, ecache_ind_get(ecache), size);
}

bool heap_charge_has_refused(void)
{
	return atomic_load_explicit(&refused_bytes, memory_order_relaxed) > 0;
}

bool heap_charge_purge_again(void *addr, size_t bytes)
{
	if (ehooks_default_purge_forced_impl(addr, 0, bytes))
		return false;
	uncharge_refused(bytes);
	return true;
}

void heap_charge_unmapped(const edata_t *extent)
{
	if (!edata_zeroed_get(extent))
		uncharge_refused(edata_size_get(extent));
}

/* Of an arena that was made by hand and is destroyed: what it has retained. */
void heap_extent_destroy_wrapper(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, edata_t *extent)
{
	if (ehooks_are_default(ehooks))
		heap_charge_unmapped(extent);
	extent_destroy_wrapper(tsdn, pac, ehooks, extent);
}

edata_t *heap_san_bump_alloc(tsdn_t *tsdn, san_bump_alloc_t *sba, pac_t *pac, ehooks_t *ehooks,
                             size_t size, bool zero)
{
	unsigned arena = ehooks_ind_get(ehooks);

	if (!ehooks_are_default(ehooks))
		return san_bump_alloc(tsdn, sba, pac, ehooks, size, zero);
	if (!pages_charge_arena(arena, size))
		return NULL;
	return see_grown(san_bump_alloc(tsdn, sba, pac, ehooks, size, zero), arena, size);
}

void *heap_default_alloc(tsdn_t *tsdn, void *at, size_t size, size_t alignment, bool *zero,
                         bool *commit, unsigned arena)
{
	void *memory = ehooks_default_alloc_impl(tsdn, at, size, alignment, zero, commit, arena);

	if (memory != NULL && !(have_dss && extent_in_dss(memory)))
		heap_maps_added(memory, size);
	return memory;
}

/* True is "no": its pages are given back next, and the addresses are retained. */
bool heap_default_dalloc(void *addr, size_t size)
{
	if (opt_retain || (have_dss && extent_in_dss(addr)) || !heap_maps_try_unmap(addr, size))
		return true;
	heap_grow_unmapped(size);
	pages_uncharge_arena(giving_arena, size);
	return false;
}

/* Arenas that were made by hand and are destroyed: what they have retained. */
void heap_default_destroy(void *addr, size_t size)
{
	if (have_dss && extent_in_dss(addr))
		return;
	heap_grow_unmapped(size);
	heap_maps_drop(addr, size);
}

static void uncharge_given_back(size_t bytes)
{
	if (!is_in_gap)
		pages_uncharge_arena(giving_arena, bytes);
}

bool heap_default_decommit(void *addr, size_t offset, size_t length)
{
	bool is_refused = ehooks_default_decommit_impl(addr, offset, length);

	if (!is_refused)
		uncharge_given_back(length);
	return is_refused;
}

bool heap_default_purge_forced(void *addr, size_t offset, size_t length)
{
	bool is_refused = ehooks_default_purge_forced_impl(addr, offset, length);

	if (!is_refused)
		uncharge_given_back(length);
	else if (!is_in_gap) {
		/* The group's no longer, as its arena alone has a use for it; the budget's
		   still. */
		group_uncharge(giving_arena, length);
		atomic_fetch_add_explicit(&refused_bytes, length, memory_order_relaxed);
	}
	return is_refused;
}

bool heap_charge_enter_gap(bool is_entered)
{
	bool was = is_in_gap;

	is_in_gap = is_entered;
	return was;
}

/* Addresses for records are no room for anything else: they count as the heap's once they are
   charged, and as another's till then. */
void *heap_base_alloc_mmap(void *at, size_t size, size_t alignment, bool *zero, bool *commit)
{
	void *memory = extent_alloc_mmap(at, size, alignment, zero, commit);

	if (memory != NULL) {
		heap_maps_added(memory, size);
		headroom_unmapped(size);
	}
	return memory;
}

/* A block of records has a mapping of its own: retained or not, nobody would use it again. */
bool heap_base_dalloc_mmap(void *addr, size_t size)
{
	headroom_mapped(size);
	heap_maps_drop(addr, size);
	return false;
}

/* MALLOC_CONF's hpa: whole huge pages, which are charged as they are mapped. */
void *heap_hpa_pages_map(void *at, size_t size, size_t alignment, bool *commit)
{
	void *memory;

	if (!pages_charge(size))
		return NULL;
	memory = pages_map(at, size, alignment, commit);
	if (memory == NULL) {
		budget_cancel_charge(size);
		return NULL;
	}
	budget_commit_charge(size);
	heap_maps_added(memory, size);
	return memory;
}

void heap_hpa_pages_unmap(void *addr, size_t size)
{
	budget_uncharge(size);
	heap_maps_drop(addr, size);
}
