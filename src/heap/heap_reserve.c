/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reserve: one mapping, made at start. It is handed to an arena of its own, or to the heap's
 * first arena as a free extent (reclaim/reserve.h says when). What comes from it is an ordinary
 * block, and free() brings it back.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/base.h"
#include "heap/heap_fast.h"
#include "heap/heap_free.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"
#include "heap/heap_maps.h"
#include "heap/heap_ops.h"
#include "limits/budget.h"
#include "limits/pages.h"

static struct {
	_Atomic(void *) region; /* handed out whole, once */
	uintptr_t begin;
	size_t region_bytes;
	size_t size;       /* of the largest block in it */
	atomic_uint made;  /* an arena, if not 0: the first one is jemalloc's own */
	atomic_uint arena; /* the same, once it has the region */
} reserve;

/* While this thread asks for what is in reserve. */
static OOM_TLS bool is_for_reserve;

static bool is_of_region(const void *addr)
{
	return (uintptr_t)addr - reserve.begin < reserve.region_bytes;
}

/* The arena is one of arenas.narenas: a program may bind a thread to it, or name it in
   MALLOCX_ARENA(). Then it is an arena as any other, which grows. */
static void *reserve_extent_alloc(extent_hooks_t *hooks, void *new_addr, size_t size,
                                  size_t alignment, bool *zero, bool *commit, unsigned arena)
{
	void *region = atomic_load(&reserve.region);

	(void)hooks;
	if (!is_for_reserve)
		return ehooks_default_alloc_impl(tsdn_fetch(), new_addr, size, alignment, zero,
		                                 commit, arena);
	/* The first one to come takes all of it, and gives all of it back. */
	if (region == NULL || new_addr != NULL || size > reserve.region_bytes ||
	    size < reserve.size || ((uintptr_t)region & (alignment - 1)) != 0 ||
	    !atomic_compare_exchange_strong(&reserve.region, &region, NULL))
		return NULL;
	*zero = true;
	*commit = true;
	return region;
}

/* True is "no": what is in reserve the arena keeps, whatever is purged. */
static bool reserve_extent_dalloc(extent_hooks_t *hooks, void *addr, size_t size, bool committed,
                                  unsigned arena)
{
	(void)hooks, (void)committed, (void)arena;
	return is_of_region(addr) || ehooks_default_dalloc_impl(addr, size);
}

static bool reserve_extent_split(extent_hooks_t *hooks, void *addr, size_t size, size_t size_a,
                                 size_t size_b, bool committed, unsigned arena)
{
	(void)hooks, (void)addr, (void)size, (void)size_a, (void)size_b, (void)committed,
		(void)arena;
	return ehooks_default_split_impl();
}

static bool reserve_extent_merge(extent_hooks_t *hooks, void *addr_a, size_t size_a, void *addr_b,
                                 size_t size_b, bool committed, unsigned arena)
{
	(void)hooks, (void)size_a, (void)size_b, (void)committed, (void)arena;
	/* Half in reserve could neither be kept nor given back. */
	if (is_of_region(addr_a) != is_of_region(addr_b))
		return true;
	return !is_of_region(addr_a) && ehooks_default_merge_impl(tsdn_fetch(), addr_a, addr_b);
}

/* Not through the thread's cache: that would fill itself with a batch. */
static int flags_for(unsigned arena)
{
	return (int)(MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE);
}

static extent_hooks_t reserve_hooks = {.alloc = reserve_extent_alloc,
                                       .dalloc = reserve_extent_dalloc,
                                       .split = reserve_extent_split,
                                       .merge = reserve_extent_merge};

/* So many pieces of the region have their records behind it at most. */
#define PIECES_MAX 4096

/* Behind the region are the records that the heap will need if the region is given to it, one for
   each page. */
static size_t records_bytes(void)
{
	size_t pieces = reserve.region_bytes >> LG_PAGE;

	return PAGE_CEILING(sizeof(edata_t) * (pieces < PIECES_MAX ? pieces : PIECES_MAX));
}

/* Then the heap can map as much. */
static void unmap(char *addr, size_t bytes)
{
	heap_maps_unmap(addr, bytes);
	budget_uncharge(bytes);
}

int heap_reserve_map(size_t bytes)
{
	bool is_committed = true;
	size_t mapped;
	char *region;

	reserve.size = bytes <= SC_LARGE_MAXCLASS ? sz_s2u(bytes) : 0;
	if (reserve.size == 0 || !malloc_initialized())
		return -ENOMEM;
	/* The heap shifts large blocks within one page more, to spread them over the cache. */
	reserve.region_bytes = PAGE_CEILING(reserve.size) + PAGE;
	mapped = reserve.region_bytes + records_bytes();
	if (!pages_charge(mapped))
		return -ENOMEM;
	/* At an address that is a multiple of jemalloc's page, which may be larger than the
	   kernel's. */
	region = pages_map(NULL, mapped, PAGE, &is_committed);
	if (region == NULL) {
		budget_cancel_charge(mapped);
		return -ENOMEM;
	}
	budget_commit_charge(mapped);
	if (!heap_leaves_prepare(tsdn_fetch(), region, reserve.region_bytes)) {
		unmap(region, mapped);
		return -ENOMEM;
	}
	reserve.begin = (uintptr_t)region;
	atomic_store(&reserve.region, region);
	return 0;
}

int heap_reserve_make_arena(void)
{
	arena_config_t config = {.extent_hooks = &reserve_hooks, .metadata_use_hooks = false};
	unsigned arena = atomic_load(&reserve.made);
	bool was_for_reserve = is_for_reserve, has_region;
	void *whole = NULL;

	is_for_reserve = true;
	if (arena != 0 || heap_arena_create(&config, &arena) == 0) {
		atomic_store(&reserve.made, arena);
		/* Taken whole and given back, the region and every record it needs are in the
		   arena: nothing has to be mapped when it is used. */
		whole = je_mallocx(reserve.size, flags_for(arena));
	}
	/* At a second try the arena may have something else that is free. */
	has_region = whole != NULL && is_of_region(whole);
	if (has_region)
		atomic_store(&reserve.arena, arena);
	if (whole != NULL)
		je_dallocx(whole, MALLOCX_TCACHE_NONE);
	is_for_reserve = was_for_reserve;
	if (!has_region)
		return -ENOMEM;
	unmap((char *)reserve.begin + reserve.region_bytes, records_bytes());
	return 0;
}

/* Each piece that is cut from the region needs a record, and there may be no memory for one. */
static void add_records(tsdn_t *tsdn, pac_t *pac, char *records)
{
	/* A multiple of its alignment, by its size. */
	const size_t bytes = sizeof(edata_t);

	_Static_assert(sizeof(edata_t) % EDATA_ALIGNMENT == 0, "side by side");
	for (char *end = records + records_bytes(); records + bytes <= end; records += bytes) {
		edata_esn_set((edata_t *)records, 0);
		edata_cache_put(tsdn, pac->edata_cache, (edata_t *)records);
	}
}

/* Where the first arena has the program's extent hooks the mapping is given back. */
void heap_reserve_give(void)
{
	char *region = atomic_exchange(&reserve.region, NULL);
	tsdn_t *tsdn = tsdn_fetch();
	pac_t *pac = pac_of(tsdn, 0);
	edata_t *extent;

	if (region == NULL)
		return;
	if (pac == NULL) {
		unmap(region, reserve.region_bytes + records_bytes());
		return;
	}
	heap_fit_any();
	add_records(tsdn, pac, region + reserve.region_bytes);
	extent = edata_cache_get(tsdn, pac->edata_cache);
	if (extent == NULL)
		return;
	edata_init(extent, 0, region, reserve.region_bytes, false, SC_NSIZES, extent_sn_next(pac),
	           extent_state_active, true, true, EXTENT_PAI_PAC,
	           opt_retain ? EXTENT_IS_HEAD : EXTENT_NOT_HEAD);
	/* Its leaf in the tree of addresses was made with the mapping. */
	if (heap_leaves_register(tsdn, pac->emap, extent, SC_NSIZES, false))
		return;
	if (config_prof)
		extent_gdump_add(tsdn, extent);
	if (config_stats)
		atomic_fetch_add_zu(&pac->stats->pac_mapped, reserve.region_bytes, ATOMIC_RELAXED);
	heap_maps_added(region, reserve.region_bytes);
	ecache_dalloc(tsdn, pac, pac_ehooks_get(pac), &pac->ecache_dirty, extent);
}

bool heap_is_reserve(unsigned arena)
{
	return arena != 0 && arena == atomic_load(&reserve.made);
}

bool heap_reserve_has_arena(void)
{
	return atomic_load(&reserve.arena) != 0;
}

bool heap_reserve_is_serving(void)
{
	return is_for_reserve;
}

bool heap_background_thread_create(tsd_t *tsd, unsigned arena)
{
	return !is_for_reserve && background_thread_create(tsd, arena);
}

/* The old block's contents, if there is one, are in the new one from now on. */
static void *move(const struct heap_request *request, void *memory)
{
	if (memory == NULL || request->old == NULL)
		return memory;
	memcpy(memory, request->old, min_size(heap_size(request->old), request->size));
	heap_free(request->old);
	return memory;
}

void *heap_alloc_moved(const struct heap_request *request)
{
	struct heap_request fresh = *request;

	fresh.old = NULL;
	return move(request, heap_ops.alloc(&fresh));
}

void *heap_reserve_alloc(const struct heap_request *request)
{
	struct heap_request fresh = *request;
	bool was_for_reserve = is_for_reserve;
	void *memory;

	fresh.old = NULL;
	fresh.flags = flags_for(atomic_load(&reserve.arena)) | (request->flags & MALLOCX_ZERO);
	is_for_reserve = true;
	memory = heap_ops.alloc(&fresh);
	is_for_reserve = was_for_reserve;
	return move(request, memory);
}
