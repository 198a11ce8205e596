/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much there is to evict. By itself that is a sum over all arenas. For a program that asks at
 * each insertion into a cache there is a total, kept up to date wherever an extent becomes free or
 * is used again: jemalloc's calls lead here (heap_glue.h). Programs that never ask pay for none of
 * it: one total that all processors write is what arenas are there to avoid.
 *
 * Each list of free extents is in the total or not. It is taken in under its own lock: by the walk
 * that turns counting on, or when it changes next. So no walk has to stop the heap, and an arena
 * that is made later comes in by itself.
 */
#include <stdatomic.h>

#include "base/base.h"
#include "heap/heap_fast.h"
#include "heap/heap_free.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"

/* Relaxed, as all here: what orders the changes of a list is its lock, and the sum of all is of
   use only as a sum. */
atomic_bool heap_is_counting;
static atomic_size_t total_bytes;

/* All lists were taken in: the total is the sum. */
static atomic_bool is_complete;

/* Of each arena's two lists, dirty and muzzy: it is in the total. Guarded by the list's lock. */
static bool is_counted[2][MALLOCX_ARENA_LIMIT];

/* Arenas made by hand, and those with hooks of the program's, are not: see pac_of(). */
static bool has_to_count(unsigned arena)
{
	return arena < manual_arena_base && pac_of(TSDN_NULL, arena) != NULL;
}

/* With the list's lock held. added: by how much the list has just changed; it wraps around where
   that is less. */
static OOM_NOINLINE void count(ecache_t *list, size_t added)
{
	bool *is_in = &is_counted[list->state == extent_state_muzzy][ecache_ind_get(list)];
	bool was_in = *is_in;

	if (list->state == extent_state_retained)
		return;
	*is_in = has_to_count(ecache_ind_get(list));
	if (*is_in && !was_in)
		added = bytes_in(list);
	else if (was_in && !*is_in)
		added -= bytes_in(list);
	else if (!was_in)
		return;
	atomic_fetch_add_explicit(&total_bytes, added, memory_order_relaxed);
}

static bool is_counting(void)
{
	return unlikely(atomic_load_explicit(&heap_is_counting, memory_order_relaxed));
}

void heap_eset_insert(ecache_t *list, eset_t *set, edata_t *extent)
{
	eset_insert(set, extent);
	if (is_counting())
		count(list, edata_size_get(extent));
}

void heap_eset_remove(ecache_t *list, eset_t *set, edata_t *extent)
{
	eset_remove(set, extent);
	if (is_counting())
		count(list, -edata_size_get(extent));
}

static void take_in(tsdn_t *tsdn, ecache_t *list)
{
	malloc_mutex_lock(tsdn, &list->mtx);
	count(list, 0);
	malloc_mutex_unlock(tsdn, &list->mtx);
}

void heap_count_evictable(void)
{
	tsdn_t *tsdn;

	atomic_store_explicit(&heap_is_counting, true, memory_order_relaxed);
	if (!malloc_initialized())
		return;
	tsdn = tsdn_fetch();
	heap_pcp_end(tsdn);
	for (unsigned i = 0; i < manual_arena_base; i++) {
		pac_t *pac = pac_of(tsdn, i);

		if (pac != NULL) {
			take_in(tsdn, &pac->ecache_dirty);
			take_in(tsdn, &pac->ecache_muzzy);
		}
	}
	atomic_store_explicit(&is_complete, true, memory_order_relaxed);
}

size_t heap_evictable(void)
{
	if (atomic_load_explicit(&is_complete, memory_order_relaxed))
		return atomic_load_explicit(&total_bytes, memory_order_relaxed);
	return malloc_initialized() ? heap_sum(tsdn_fetch(), evictable_in) : 0;
}
