/* SPDX-License-Identifier: BSD-2-Clause */
/* Where an arena keeps what is free, and how that is taken out. */
#ifndef OOM_HEAP_FREE_H
#define OOM_HEAP_FREE_H

#include "heap/heap_fast.h"
#include "heap/heap_ops.h"

/* Only of arenas that jemalloc made by itself, with its own extent hooks: an arena made by hand may
   be destroyed at any moment, and its hooks are the program's. */
static inline pac_t *pac_of(tsdn_t *tsdn, unsigned index)
{
	arena_t *arena = arena_get(tsdn, index, false);

	return arena != NULL && ehooks_are_default(arena_get_ehooks(arena)) ? &arena->pa_shard.pac
	                                                                    : NULL;
}

static inline size_t bytes_in(ecache_t *ecache)
{
	return ecache_npages_get(ecache) << LG_PAGE;
}

static inline size_t evictable_in(pac_t *pac)
{
	return bytes_in(&pac->ecache_dirty) + bytes_in(&pac->ecache_muzzy);
}

/* Of all arenas together. */
static inline size_t heap_sum(tsdn_t *tsdn, size_t (*bytes_of)(pac_t *pac))
{
	size_t bytes = 0;

	for (unsigned i = 0; i < manual_arena_base; i++) {
		pac_t *pac = pac_of(tsdn, i);

		bytes += pac != NULL ? bytes_of(pac) : 0;
	}
	return bytes;
}

/* How many size classes of pages a list of free extents has: eset.c keeps that to itself. */
#define ESET_NPSIZES (SC_NPSIZES + 1)

/* With the list's lock held: from now on the extent is the calling thread's alone. */
static inline void take_out(tsdn_t *tsdn, pac_t *pac, ecache_t *list, edata_t *extent)
{
	heap_eset_remove(list, &list->eset, extent);
	emap_update_edata_state(tsdn, pac->emap, extent, extent_state_active);
}

/* The size class of the request's block; SIZE_MAX where there is none for it. */
static inline size_t usable_size(const struct heap_request *request)
{
	size_t size = request->size > 0 ? request->size : 1, usable;

	if (size > SC_LARGE_MAXCLASS || request->alignment > SC_LARGE_MAXCLASS)
		return SIZE_MAX;
	usable = request->alignment == 0 ? sz_s2u(size) : sz_sa2u(size, request->alignment);
	return usable == 0 || usable > SC_LARGE_MAXCLASS ? SIZE_MAX : usable;
}

/* The bytes of the extent that the request takes; SIZE_MAX as above. */
static inline size_t extent_bytes(const struct heap_request *request)
{
	size_t usable = usable_size(request);

	if (usable == SIZE_MAX)
		return SIZE_MAX;
	if (usable <= SC_SMALL_MAXCLASS)
		return bin_infos[sz_size2index(usable)].slab_size;
	return usable + sz_large_pad;
}

/* heap_evict.c: an extent that was taken out of its list goes back to the system. Its bytes. */
size_t heap_evict_extent(tsdn_t *tsdn, pac_t *pac, edata_t *extent);

/* The oldest extent of a list goes back. Its bytes; 0: there is none. */
size_t heap_evict_oldest(tsdn_t *tsdn, pac_t *pac, ecache_t *ecache);

#endif
