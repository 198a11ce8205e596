/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bins of a thread's cache, behind the fast path: how they are set up, and blocks of 4 to 32 KiB.
 * The fast path finds a size class in a table, which ends at 4 KiB, and leaves alone what is no
 * slab; jemalloc's own way to such blocks takes twice as many instructions as this one.
 */
#include "heap/heap_fast.h"

/* jemalloc's own. */
void free_default(void *memory);

void heap_cache_bin_init(cache_bin_t *bin, cache_bin_info_t *info, void *stack, size_t *at)
{
	szind_t index = (szind_t)(info - tcache_bin_info);

	cache_bin_init(bin, info, stack, at);
	if (HEAP_BINS_HAVE_SIZES && index < SC_NBINS)
		*(uint16_t *)((uintptr_t)bin + HEAP_BINS_SIZE_OFFSET) =
			(uint16_t)sz_index2size(index);
}

/* A call at the end of a function is a jump: so `slow` returns to the caller of malloc(), and knows
   that caller by its return address. */
void *heap_bins_alloc_larger(size_t size, void *(*slow)(size_t size))
{
	tsd_t *tsd = tsd_get(false);
	uint64_t allocated, threshold;
	cache_bin_t *bin;
	szind_t index;
	bool is_there;
	void *block;

	/* The largest class is 0 before the heap has started. And heap profiling has a record with
	   each block that is no small one, which may still be that of a sample: jemalloc clears
	   it. */
	if (unlikely(size > tcache_maxclass || opt_prof))
		return slow(size);
	/* So that the compiler leaves out what is for other sizes. */
	if (size <= SC_LOOKUP_MAXCLASS || size > SC_LARGE_MAXCLASS)
		__builtin_unreachable();
	index = sz_size2index_compute(size);
	te_malloc_fastpath_ctx(tsd, &allocated, &threshold);
	allocated += sz_index2size_lookup(index);
	/* The threshold is 0 for a thread without a cache, or whose records are not set up. */
	if (unlikely(allocated >= threshold))
		return slow(size);
	bin = &tsd_tcachep_get_unsafe(tsd)->bins[index];
	block = cache_bin_alloc(bin, &is_there);
	if (unlikely(!is_there))
		return slow(size);
	*tsd_thread_allocatedp_get_unsafe(tsd) = allocated;
	if (config_stats)
		bin->tstats.nrequests++;
	return block;
}

#ifdef HEAP_HAS_MARKS
/* The size class of what is no small block; a small one's where it is no block of the heap's. */
static szind_t larger_class(const void *memory)
{
	return (szind_t)(uint8_t)heap_bins_top_of((uintptr_t)memory >> LG_PAGE);
}
#else
static szind_t larger_class(const void *memory)
{
	emap_alloc_ctx_t found;

	return emap_alloc_ctx_try_lookup_fast(tsd_get(false), &arena_emap_global, memory, &found)
	               ? 0
	               : found.szind;
}
#endif

/* Back into the cache; false for whatever is not such a block. */
static bool free_larger(void *memory)
{
	tsd_t *tsd = tsd_get(false);
	uint64_t freed, threshold;
	szind_t index;

	/* A block of another group, and one that heap profiling has sampled, are jemalloc's to
	   free. */
	if (memory == NULL || opt_prof ||
	    atomic_load_explicit(&heap_has_groups, memory_order_relaxed))
		return false;
	index = larger_class(memory);
	if (index < SC_NBINS || index >= nhbins)
		return false;
	te_free_fastpath_ctx(tsd, &freed, &threshold);
	freed += sz_index2size_lookup(index);
	if (unlikely(freed >= threshold ||
	             !cache_bin_dalloc_easy(&tsd_tcachep_get_unsafe(tsd)->bins[index], memory)))
		return false;
	*tsd_thread_deallocatedp_get_unsafe(tsd) = freed;
	return true;
}

OOM_NOINLINE void heap_free_slow(void *memory)
{
	if (!free_larger(memory))
		free_default(memory);
}
