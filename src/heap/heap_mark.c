/* SPDX-License-Identifier: BSD-2-Clause */
/* Marks of slabs and of threads: heap_mark.h says what for. */
#include <stdatomic.h>

#include "heap/heap_fast.h"
#include "limits/group.h"

/* What jemalloc reads of an element: heap_rtree.h. */
_Static_assert(SC_NSIZES <= UINT8_MAX, "a size class does not fit beside a mark");

/* By arena: its mark, so that zeroes are the root's. Relaxed: what makes a slab in an arena is in
   its group, or has the arena from a thread that is. */
static atomic_uchar marks_xor_root[GROUP_ARENAS];

static unsigned char mark_of(unsigned arena)
{
	if (arena >= GROUP_ARENAS)
		return HEAP_MARK_ROOT;
	return atomic_load_explicit(&marks_xor_root[arena], memory_order_relaxed) ^ HEAP_MARK_ROOT;
}

void heap_mark_arena(unsigned arena)
{
	/* Under group_lock(). Arenas of groups are used again: not taken back. */
	static unsigned char newest = HEAP_MARK_ROOT;
	unsigned char mark = HEAP_MARK_NONE;

	if (newest < HEAP_MARK_NOBODY - 1)
		mark = ++newest;
	atomic_store_explicit(&marks_xor_root[arena], mark ^ HEAP_MARK_ROOT, memory_order_relaxed);
}

/* ---- Slabs ---- */

#ifdef HEAP_HAS_MARKS
/* Nobody else writes to an element of an extent that is in use. Release, as jemalloc's own. */
static void put(tsdn_t *tsdn, emap_t *emap, const edata_t *extent, uintptr_t first, uintptr_t last)
{
	uintptr_t mark = (uintptr_t)mark_of(edata_arena_ind_get(extent)) << HEAP_MARK_SHIFT;
	EMAP_DECLARE_RTREE_CTX;

	for (uintptr_t at = first; at <= last; at += PAGE) {
		rtree_leaf_elm_t *element =
			rtree_leaf_elm_lookup(tsdn, &emap->rtree, rtree_ctx, at, true, false);
		uintptr_t bits = rtree_leaf_elm_bits_read(tsdn, &emap->rtree, element, true);

		atomic_store_p(&element->le_bits, (void *)(bits | mark), ATOMIC_RELEASE);
	}
}
#else
static void put(tsdn_t *tsdn, emap_t *emap, const edata_t *extent, uintptr_t first, uintptr_t last)
{
	(void)tsdn, (void)emap, (void)extent, (void)first, (void)last;
}
#endif

void heap_emap_remap(tsdn_t *tsdn, emap_t *emap, edata_t *edata, szind_t szind, bool is_slab)
{
	uintptr_t first = (uintptr_t)edata_addr_get(edata);
	uintptr_t last = first + edata_size_get(edata) - PAGE;

	emap_remap(tsdn, emap, edata, szind, is_slab);
	if (!is_slab)
		return;
	put(tsdn, emap, edata, first, first);
	put(tsdn, emap, edata, last, last);
}

void heap_emap_register_interior(tsdn_t *tsdn, emap_t *emap, edata_t *edata, szind_t szind)
{
	uintptr_t first = (uintptr_t)edata_addr_get(edata);

	emap_register_interior(tsdn, emap, edata, szind);
	put(tsdn, emap, edata, first + PAGE, first + edata_size_get(edata) - 2 * PAGE);
}

/* ---- Threads ---- */

static void set(tsd_t *tsd, unsigned char mark)
{
#ifndef OOM_DEBUG
	*(uintptr_t *)((uintptr_t)tsd + HEAP_MARK_OFFSET) = mark;
#else
	(void)tsd, (void)mark;
#endif
}

void heap_mark_enter(tsd_t *tsd, unsigned arena)
{
	unsigned char mark = mark_of(arena);

	set(tsd, mark != HEAP_MARK_NONE ? mark : HEAP_MARK_NOBODY);
}

void heap_mark_leave(tsd_t *tsd)
{
	set(tsd, HEAP_MARK_ROOT);
}
