/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Aligned blocks: what memalign() and its kind share with the aligned forms of operator new. The
 * alignment is a power of two. slow_path: leads to a function out of line, made of
 * aligned_slow_path(); failed: what comes behind the heap.
 */
#ifndef OOM_INTERPOSE_ALIGNED_H
#define OOM_INTERPOSE_ALIGNED_H

#include "entry/fail_malloc.h"
#include "entry/slow_path.h"
#include "heap/heap_fast.h"

typedef void *aligned_function(size_t size, size_t alignment);

static inline void *aligned_slow_path(size_t size, size_t alignment, aligned_function *failed)
{
	/* jemalloc takes a size of 0 for the smallest block, which is not aligned to more than
	   that. */
	void *memory = heap_memalign(alignment, size > 0 ? size : 1);

	slow_path_end();
	return likely(memory != NULL) ? memory : failed(size, alignment);
}

static inline void *aligned_fast_path(size_t size, size_t alignment, aligned_function *slow_path)
{
	void *memory = heap_cached_aligned(alignment, size);

	return likely(memory != NULL) ? memory : slow_path(size, alignment);
}

/* For what returns NULL at its end, to caller, at which only the debug library looks. */
static inline void *aligned_or_null(size_t size, size_t alignment, const void *caller,
                                    aligned_function *slow_path)
{
	(void)caller;
	if (fail_malloc_strikes(size, caller))
		return NULL;
	return aligned_fast_path(size, alignment, slow_path);
}

#endif
