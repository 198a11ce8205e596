/* SPDX-License-Identifier: BSD-2-Clause */
/* A bin of a thread's cache is set up: for the fast path it has the size of its blocks as well. */
#include "heap/heap_fast.h"

void heap_cache_bin_init(cache_bin_t *bin, cache_bin_info_t *info, void *stack, size_t *at)
{
	szind_t index = (szind_t)(info - tcache_bin_info);

	cache_bin_init(bin, info, stack, at);
	if (HEAP_BINS_HAVE_SIZES && index < SC_NBINS)
		*(uint16_t *)((uintptr_t)bin + HEAP_BINS_SIZE_OFFSET) =
			(uint16_t)sz_index2size(index);
}
