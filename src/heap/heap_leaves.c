/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much of jemalloc's tree of addresses may be resident.
 *
 * A leaf of the tree is 2 MiB of jemalloc's records for each GiB of addresses in which the heap has
 * blocks; a page of the leaf is for 2 MiB of these (with pages of 4 KiB). A page that has never
 * been written takes no memory, and is not charged (heap_charge.c): under a limit of 64 MiB the
 * first leaf would be 3 per cent of it. Behind each leaf is a bit for each of its pages: the heap
 * has mapped some of the addresses that the page is for, and may write there.
 *
 * A leaf does not begin with a page: what is for one bit may be in two pages. So there may be some
 * pages more than are charged, by one for each stretch of addresses.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/base.h"
#include "heap/heap_fast.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"

/* Bytes of leaves less those of pages that may be written. Relaxed: a sum that stands for itself
   alone. */
static atomic_size_t untouched;

/* While this thread registers an extent that was just mapped, or prepares for that: the pages of
   the leaves that it writes are noted. */
static OOM_TLS bool is_registering;

#ifdef HEAP_HAS_MARKS
#define LEAF_BYTES (sizeof(rtree_leaf_elm_t) << rtree_levels[1].bits)
#define LG_PAGES_OF_ELEMENTS (LG_PAGE - LG_SIZEOF_PTR) /* that have one page of a leaf */
#define LG_REGION (LG_PAGES_OF_ELEMENTS + LG_PAGE)     /* bytes, for one page of a leaf */
#define REGIONS (LEAF_BYTES / PAGE)
#define WORD_BITS (CHAR_BIT * sizeof(atomic_ulong))

/* A huge page is resident as a whole once a byte of it is written. And jemalloc's allocator of huge
   pages registers its extents by itself. */
static bool are_in_small_pages(void)
{
	return opt_metadata_thp == metadata_thp_disabled && !opt_hpa &&
	       (opt_thp == thp_mode_never ||
	        (opt_thp == thp_mode_default && init_system_thp_mode != thp_mode_always));
}

/* The tree has one kind of inner node, its root, which is no allocation. A leaf that is made at
   another moment, as when an extent of several GiB is cut in its middle, is charged as a whole:
   what is written there is not known. All its bits are set. */
void *heap_rtree_alloc(tsdn_t *tsdn, base_t *base, size_t bytes, size_t alignment)
{
	size_t bits_bytes = REGIONS / CHAR_BIT + CACHELINE;
	bool is_counted = is_registering && are_in_small_pages();
	char *leaf;

	if (bytes != LEAF_BYTES)
		return base_alloc(tsdn, base, bytes, alignment);
	/* Before the leaf is one of the records, or it would be charged as a whole meanwhile. */
	if (is_counted)
		atomic_fetch_add_explicit(&untouched, LEAF_BYTES, memory_order_relaxed);
	leaf = base_alloc(tsdn, base, LEAF_BYTES + bits_bytes, alignment);
	if (leaf == NULL && is_counted)
		atomic_fetch_sub_explicit(&untouched, LEAF_BYTES, memory_order_relaxed);
	if (leaf != NULL && !is_counted)
		memset(leaf + LEAF_BYTES, UINT8_MAX, bits_bytes);
	return leaf;
}

static void touch(char *leaf, uintptr_t region)
{
	atomic_ulong *word = (atomic_ulong *)(leaf + LEAF_BYTES) + region / WORD_BITS;
	unsigned long bit = 1UL << region % WORD_BITS;

	if ((atomic_load_explicit(word, memory_order_relaxed) & bit) == 0 &&
	    (atomic_fetch_or_explicit(word, bit, memory_order_relaxed) & bit) == 0)
		atomic_fetch_sub_explicit(&untouched, PAGE, memory_order_relaxed);
}

static void touch_all(uintptr_t address, size_t bytes)
{
	const uintptr_t last = (address + bytes - 1) >> LG_REGION;

	for (uintptr_t region = address >> LG_REGION; region <= last; region++) {
		char *leaf = atomic_load_p(&arena_emap_global.rtree.root[region / REGIONS].child,
		                           ATOMIC_ACQUIRE);

		/* For the middle of a large extent there may be no leaf yet. */
		if (leaf != NULL)
			touch(leaf, region % REGIONS);
		else
			region |= REGIONS - 1;
	}
}

bool heap_leaves_register(tsdn_t *tsdn, emap_t *emap, edata_t *extent, szind_t size_index,
                          bool is_slab)
{
	bool has_failed;

	is_registering = true;
	has_failed = emap_register_boundary(tsdn, emap, extent, size_index, is_slab);
	is_registering = false;
	if (!has_failed)
		touch_all((uintptr_t)edata_base_get(extent), edata_size_get(extent));
	return has_failed;
}
#else
void *heap_rtree_alloc(tsdn_t *tsdn, base_t *base, size_t bytes, size_t alignment)
{
	return base_alloc(tsdn, base, bytes, alignment);
}

bool heap_leaves_register(tsdn_t *tsdn, emap_t *emap, edata_t *extent, szind_t size_index,
                          bool is_slab)
{
	return emap_register_boundary(tsdn, emap, extent, size_index, is_slab);
}
#endif

bool heap_leaves_prepare(tsdn_t *tsdn, const void *addr, size_t bytes)
{
	rtree_t *rtree = &arena_emap_global.rtree;
	const uintptr_t first = (uintptr_t)addr, last = first + bytes - 1;
	bool has_both;
	EMAP_DECLARE_RTREE_CTX;

	is_registering = true;
	has_both = rtree_leaf_elm_lookup(tsdn, rtree, rtree_ctx, first, false, true) != NULL &&
	           rtree_leaf_elm_lookup(tsdn, rtree, rtree_ctx, last, false, true) != NULL;
	is_registering = false;
	return has_both;
}

size_t heap_leaves_untouched(void)
{
	return atomic_load_explicit(&untouched, memory_order_relaxed);
}
