/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork(), where jemalloc forgets a lock. Both are seldom held where there is memory, and at every
 * failure where there is none. What jemalloc calls leads here (heap_glue.h).
 */
#include <stdatomic.h>

#include "base/base.h"
#include "base/fork_data.h"
#include "base/futex.h"
#include "heap/heap_fast.h"
#include "heap/heap_ops.h"
#include "limits/pages.h"

/* Threads in extent_alloc_dss(). It spins on a variable that fork() would leave to the child as it
   is found, set by a thread that the child does not have. */
static atomic_uint in_dss;
static OOM_FORK_DATA atomic_bool is_forking;

/* While a thread forks there is nothing to be had here: to wait for it, with the heap's locks held
   that it waits for, would be for ever. */
void *heap_extent_alloc_dss(tsdn_t *tsdn, arena_t *arena, void *at, size_t bytes, size_t alignment,
                            bool *is_zero, bool *is_committed)
{
	void *memory = NULL;

	if (pages_dss_should_fail(bytes))
		return NULL;
	atomic_fetch_add(&in_dss, 1);
	if (!atomic_load(&is_forking)) {
		/* What it skips to be aligned was never charged. */
		bool was_in_gap = heap_charge_enter_gap(true);

		memory = extent_alloc_dss(tsdn, arena, at, bytes, alignment, is_zero, is_committed);
		heap_charge_enter_gap(was_in_gap);
	}
	atomic_fetch_sub(&in_dss, 1);
	return memory;
}

/* The forking thread has locks of the library's that come before. */
static bool has_heap_locks;

void heap_fork_prepare(void)
{
	atomic_store(&is_forking, true);
	futex_wait_zero(&in_dss);
	/* The first malloc() may be yet to come. */
	has_heap_locks = malloc_initialized();
	if (!has_heap_locks)
		return;
	heap_pcp_prefork(tsdn_fetch());
	jemalloc_prefork();
	heap_pcp_prefork_lists(tsdn_fetch());
}

void heap_fork_parent(void)
{
	if (has_heap_locks) {
		heap_pcp_postfork_parent(tsdn_fetch());
		jemalloc_postfork_parent();
	}
	atomic_store(&is_forking, false);
}

void heap_fork_child(void)
{
	if (has_heap_locks) {
		heap_pcp_postfork_child(tsdn_fetch());
		jemalloc_postfork_child();
	}
	heap_group_fork_child();
	atomic_store(&is_forking, false);
}

/* The lock under which the heap makes records of the addresses where it has blocks. In jemalloc's
   order it comes before the base's, and after all that a thread may hold that waits for it: so it
   is taken with the first base, and goes with the first. */
static OOM_FORK_DATA bool has_rtree_lock;

void heap_base_prefork(tsdn_t *tsdn, base_t *base)
{
	if (!has_rtree_lock)
		malloc_mutex_prefork(tsdn, &arena_emap_global.rtree.init_lock);
	has_rtree_lock = true;
	base_prefork(tsdn, base);
}

void heap_base_postfork_parent(tsdn_t *tsdn, base_t *base)
{
	base_postfork_parent(tsdn, base);
	if (has_rtree_lock) {
		has_rtree_lock = false;
		malloc_mutex_postfork_parent(tsdn, &arena_emap_global.rtree.init_lock);
	}
}

void heap_base_postfork_child(tsdn_t *tsdn, base_t *base)
{
	base_postfork_child(tsdn, base);
	if (has_rtree_lock) {
		has_rtree_lock = false;
		malloc_mutex_postfork_child(tsdn, &arena_emap_global.rtree.init_lock);
	}
}
