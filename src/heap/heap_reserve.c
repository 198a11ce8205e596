/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reserve: an arena with one mapping, made at start. What comes from it is an ordinary block,
 * and free() brings it back.
 */
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "heap/heap_fast.h"
#include "heap/heap_ops.h"
#include "limits/budget.h"
#include "limits/pages.h"

static struct {
	extent_hooks_t hooks;
	void *region; /* handed to the arena whole, once */
	uintptr_t begin;
	size_t region_bytes;
	unsigned arena;
} reserve;

/* Set while this thread asks for what is in reserve. */
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
	void *region = reserve.region;

	(void)hooks;
	if (!is_for_reserve)
		return ehooks_default_alloc_impl(tsdn_fetch(), new_addr, size, alignment, zero,
		                                 commit, arena);
	if (region == NULL || new_addr != NULL || size > reserve.region_bytes ||
	    ((uintptr_t)region & (alignment - 1)) != 0)
		return NULL;
	/* Asked for by reserve_create() alone at first, so by one thread; never again after. */
	reserve.region = NULL;
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

static int reserve_flags(void)
{
	/* Not through the thread's cache: that would fill itself with a batch. */
	return (int)(MALLOCX_ARENA(reserve.arena) | MALLOCX_TCACHE_NONE);
}

int heap_reserve_create(size_t bytes)
{
	arena_config_t config = {.extent_hooks = &reserve.hooks, .metadata_use_hooks = false};
	size_t size = bytes <= SC_LARGE_MAXCLASS ? sz_s2u(bytes) : 0;
	bool is_committed = true;
	void *region, *whole;
	int error;

	if (size == 0)
		return -ENOMEM;
	reserve.hooks = (extent_hooks_t){.alloc = reserve_extent_alloc,
	                                 .dalloc = reserve_extent_dalloc,
	                                 .split = reserve_extent_split,
	                                 .merge = reserve_extent_merge};
	/* The heap shifts large blocks within one page more, to spread them over the cache. */
	reserve.region_bytes = PAGE_CEILING(size) + PAGE;
	if (!pages_charge(reserve.region_bytes))
		return -ENOMEM;
	/* At an address that is a multiple of jemalloc's page, which may be larger than the
	   kernel's. */
	region = pages_map(NULL, reserve.region_bytes, PAGE, &is_committed);
	if (region == NULL) {
		budget_cancel_charge(reserve.region_bytes);
		return -ENOMEM;
	}
	budget_commit_charge(reserve.region_bytes);
	reserve.region = region;
	reserve.begin = (uintptr_t)region;
	is_for_reserve = true;
	error = heap_arena_create(&config, &reserve.arena);
	is_for_reserve = false;
	if (error != 0) {
		reserve.arena = 0;
		pages_munmap(region, reserve.region_bytes);
		budget_uncharge(reserve.region_bytes);
		return -ENOMEM;
	}
	/* Taken whole and given back, the region and every record it needs are in the arena:
	   nothing has to be mapped when it is used. */
	is_for_reserve = true;
	whole = je_mallocx(size, reserve_flags());
	is_for_reserve = false;
	if (whole == NULL)
		return -ENOMEM;
	je_free(whole);
	return 0;
}

/* The first arena is jemalloc's own. */
bool heap_is_reserve(unsigned arena)
{
	return arena == reserve.arena && arena != 0;
}

bool heap_reserve_is_serving(void)
{
	return is_for_reserve;
}

bool heap_background_thread_create(tsd_t *tsd, unsigned arena)
{
	return !is_for_reserve && background_thread_create(tsd, arena);
}

void *heap_reserve_alloc(const struct heap_request *request)
{
	struct heap_request fresh = *request;
	size_t old_bytes;
	void *memory;

	fresh.old = NULL;
	fresh.flags = reserve_flags() | (request->flags & MALLOCX_ZERO);
	is_for_reserve = true;
	memory = heap_ops.alloc(&fresh);
	is_for_reserve = false;
	if (memory == NULL || request->old == NULL)
		return memory;
	old_bytes = heap_size(request->old);
	memcpy(memory, request->old, old_bytes < request->size ? old_bytes : request->size);
	heap_free(request->old);
	return memory;
}
