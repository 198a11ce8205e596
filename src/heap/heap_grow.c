/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the heap grows under a limit.
 *
 * Where retention is off, jemalloc maps each extent by itself: one system call for every page of
 * small blocks. Here small extents are cut from larger pieces. The rest of a piece waits among the
 * retained extents, which jemalloc looks through first whether retention is on or not; where
 * addresses are short it is unmapped with everything else (heap_evict.c).
 */
#include <stdatomic.h>

#include "base/base.h"
#include "heap/heap_fast.h"
#include "limits/fault.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"

/* Above a hundred pages to a system call little is gained; and each arena may have this much in
   stock. */
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

/* Arenas made by hand keep what they retain until they are destroyed; and a fault that is injected
   shall hit what the program asked for. */
static bool may_add_piece(pac_t *pac, ehooks_t *ehooks)
{
	return !opt_retain && ehooks_are_default(ehooks) && !fault_is_armed(&fault_page) &&
	       ecache_ind_get(&pac->ecache_retained) < manual_arena_base &&
	       atomic_load_explicit(&missing_bytes, memory_order_relaxed) == 0;
}

void heap_grow_prepare(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, ecache_t *ecache, size_t size,
                       size_t alignment, bool is_special)
{
	if (size < PIECE_BYTES && alignment <= PAGE && !is_special && may_add_piece(pac, ehooks) &&
	    ecache_npages_get(ecache) < size >> LG_PAGE)
		add_piece(tsdn, pac, ehooks);
	/* If another thread was faster there is a mapping for this one alone. */
}
