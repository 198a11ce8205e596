/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the heap grows under a limit.
 *
 * Where retention is off, jemalloc maps each extent by itself: one system call for every page of small
 * blocks. Here small extents are cut from larger pieces. The rest of a piece waits among the retained
 * extents, which jemalloc looks through first whether retention is on or not; a purge gives it
 * back with everything else (release_retained() in jemalloc_heap.c).
 */
#include <stdatomic.h>

#include "base/base.h"
#include "heap/heap_fast.h"
#include "limits/budget.h"
#include "limits/fault.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"

/* Above a hundred pages to a system call little is gained; and each arena may have this much in stock. */
#define PIECE_BYTES ((size_t)256 << 10)

/* What has to be unmapped before there is room for a piece, after there was none: near a limit each
   extent would cost a mapping in vain. A guess for all threads, so all orders are relaxed. */
static atomic_size_t missing_bytes;

void heap_grow_unmapped(size_t bytes)
{
	size_t missing = atomic_load_explicit(&missing_bytes, memory_order_relaxed);

	if (missing > 0)
		atomic_store_explicit(&missing_bytes, missing > bytes ? missing - bytes : 0,
		                      memory_order_relaxed);
}

void heap_end_retention(void)
{
	__atomic_store_n(&opt_retain, false, __ATOMIC_SEQ_CST);
}

/* Under the lock under which jemalloc grows where retention is on. */
static void add_piece(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks)
{
	bool commit = true;
	edata_t *piece;

	malloc_mutex_lock(tsdn, &pac->grow_mtx);
	piece = extent_alloc_wrapper(tsdn, pac, ehooks, NULL, PIECE_BYTES, PAGE, false, &commit,
	                             true);
	if (piece != NULL)
		extent_record(tsdn, pac, ehooks, &pac->ecache_retained, piece);
	else
		atomic_store_explicit(&missing_bytes, PIECE_BYTES, memory_order_relaxed);
	malloc_mutex_unlock(tsdn, &pac->grow_mtx);
}

/* Arenas made by hand keep what they retain until they are destroyed; and a fault that is injected shall
   hit what the program asked for. */
static bool may_add_piece(pac_t *pac, ehooks_t *ehooks)
{
	return !opt_retain && ehooks_are_default(ehooks) && !fault_is_armed(&fault_page) &&
	       ecache_ind_get(&pac->ecache_retained) < manual_arena_base &&
	       atomic_load_explicit(&missing_bytes, memory_order_relaxed) == 0;
}

/*
 * Where retention is on, jemalloc maps ever larger pieces, and what of these is not in use counts against
 * the budget. As long as they fit nobody is wronged; before the first one that does not, retention ends, as
 * in purge_all(). The limit is not met by that, nor the watermark: the program needs less.
 */
static void end_retention_near_limit(tsdn_t *tsdn, pac_t *pac, size_t bytes)
{
	/* A piece that is the first beyond a multiple of 1 GiB takes a leaf of the tree of extents with it:
	   4 MiB of metadata, for which up to 6 are mapped until they are aligned. */
	const size_t leaf = (size_t)6 << 20;
	size_t piece;
	pszind_t skip;
	bool is_beyond;

	if (!opt_retain || !budget_is_limited())
		return;
	malloc_mutex_lock(tsdn, &pac->grow_mtx);
	is_beyond = exp_grow_size_prepare(&pac->exp_grow, bytes, &piece, &skip);
	malloc_mutex_unlock(tsdn, &pac->grow_mtx);
	if (is_beyond || !budget_has_room(add_saturated(piece, leaf)))
		heap_end_retention();
}

edata_t *heap_ecache_alloc_grow(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, ecache_t *ecache,
                                edata_t *expand, size_t size, size_t alignment, bool zero,
                                bool guarded)
{
	end_retention_near_limit(tsdn, pac, add_saturated(size, alignment));
	if (size < PIECE_BYTES && alignment <= PAGE && expand == NULL && !guarded &&
	    may_add_piece(pac, ehooks) && ecache_npages_get(ecache) < size >> LG_PAGE)
		add_piece(tsdn, pac, ehooks);
	/* If another thread was faster there is a mapping for this one alone. */
	return ecache_alloc_grow(tsdn, pac, ehooks, ecache, expand, size, alignment, zero, guarded);
}
