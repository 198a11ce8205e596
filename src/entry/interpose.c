/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * malloc and its kind: to the heap, and only if that says NULL to the ladder. What can't fail
 * (sdallocx, malloc_usable_size, mallctlbymib and so on) is jemalloc's own symbol, exported as it
 * is; free() is not, since its fast path is the heap's own.
 */
#include "entry/interpose.h"
#include "entry/fail_malloc.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "entry/interpose_aligned.h"
#include "entry/libc_caller.h"
#include "entry/slow_path.h"
#include "heap/heap_fast.h"
#include "ladder/ladder.h"

/* Of the exported function in which it stands, or of which it is the end: a call at the end is a
   jump. */
#define CALLER __builtin_return_address(0)

static OOM_COLD void *descend(size_t size, size_t alignment, int flags, const void *caller)
{
	const struct heap_request request =
		{.size = size,
	         .alignment = alignment,
	         .flags = flags,
	         .caller = caller,
	         .is_for_libc = libc_caller_ends_process(caller, (flags & MALLOCX_ZERO) != 0)};

	return ladder_descend(&request);
}

static OOM_COLD void *descend_resize(void *old, size_t size, const void *caller)
{
	const struct heap_request request = {.old = old,
	                                     .size = size,
	                                     .caller = caller,
	                                     .is_for_libc =
	                                             libc_caller_ends_process(caller, false)};

	return ladder_descend(&request);
}

/* Where the fast path ends. Kept out of it, or malloc() would save a register for what comes here
   after the heap. */
static OOM_NOINLINE void *malloc_slow_path(size_t size)
{
	void *memory = heap_malloc_slow(size);

	slow_path_end();
	return likely(memory != NULL) ? memory : descend(size, 0, 0, CALLER);
}

OOM_EXPORT void *malloc(size_t size)
{
	if (fail_malloc_strikes(size, CALLER))
		return NULL;
	return heap_malloc_fast(size, &malloc_slow_path);
}

static OOM_NOINLINE void *calloc_slow_path(size_t count, size_t size)
{
	void *memory = heap_calloc(count, size);

	slow_path_end();
	return likely(memory != NULL)
	               ? memory
	               : descend(mul_saturated(count, size), 0, MALLOCX_ZERO, CALLER);
}

OOM_EXPORT void *calloc(size_t count, size_t size)
{
	void *memory;

	if (fail_malloc_strikes(mul_saturated(count, size), CALLER))
		return NULL;
	/* A product that overflows saturates, and nothing is that large. */
	memory = heap_cached_zeroed(mul_saturated(count, size));
	return likely(memory != NULL) ? memory : calloc_slow_path(count, size);
}

OOM_EXPORT void *realloc(void *old, size_t size)
{
	void *memory;

	if ((size > 0 || old == NULL) && fail_malloc_strikes(size, CALLER))
		return NULL;
	memory = heap_realloc(old, size);
	slow_path_end();

	/* realloc(old, 0) frees and has nothing to return. */
	if (likely(memory != NULL) || (size == 0 && old != NULL))
		return memory;
	return descend_resize(old, size, CALLER);
}

OOM_EXPORT void *reallocarray(void *old, size_t count, size_t size)
{
	size_t bytes;

	if (unlikely(__builtin_mul_overflow(count, size, &bytes)))
		return descend_resize(old, SIZE_MAX, CALLER);
	return realloc(old, bytes);
}

static bool is_power_of_two(size_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static OOM_COLD void *descend_aligned(size_t size, size_t alignment)
{
	return descend(size, alignment, 0, CALLER);
}

/* With the arguments in the order of aligned_alloc(): in another order the fast path of that
   function would move them to and fro. */
static OOM_NOINLINE void *memalign_slow_path(size_t alignment, size_t size)
{
	return aligned_slow_path(size, alignment, descend_aligned);
}

static inline void *turn_to_slow_path(size_t size, size_t alignment)
{
	return memalign_slow_path(alignment, size);
}

#define ALIGNED(size, alignment) aligned_or_null(size, alignment, CALLER, turn_to_slow_path)

OOM_EXPORT int posix_memalign(void **memory, size_t alignment, size_t size)
{
	int saved = errno;
	void *found;

	if (!is_power_of_two(alignment) || alignment % sizeof(void *) != 0)
		return EINVAL;
	found = ALIGNED(size, alignment);
	if (unlikely(found == NULL)) {
		errno = saved;
		return ENOMEM;
	}
	*memory = found;
	return 0;
}

OOM_EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	if (unlikely(!is_power_of_two(alignment))) {
		errno = EINVAL;
		return NULL;
	}
	return ALIGNED(size, alignment);
}

/* As in glibc, any alignment will do: it is rounded up to a power of two. */
OOM_EXPORT void *memalign(size_t alignment, size_t size)
{
	size_t rounded = 1;

	if (unlikely(alignment > SIZE_MAX / 2 + 1)) {
		errno = EINVAL;
		return NULL;
	}
	while (rounded < alignment)
		rounded <<= 1;
	return ALIGNED(size, rounded);
}

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

OOM_EXPORT void *valloc(size_t size)
{
	return ALIGNED(size, page_bytes());
}

OOM_EXPORT void *pvalloc(size_t size)
{
	size_t page = page_bytes(), rounded = add_saturated(size, page - 1);

	/* A size that can't be rounded up can't be had either, and stays as it is. */
	if (rounded != SIZE_MAX)
		rounded &= ~(page - 1);
	return ALIGNED(rounded, page);
}

OOM_EXPORT void free(void *memory)
{
	heap_free(memory);
}

OOM_EXPORT void cfree(void *memory)
{
	heap_free(memory);
}

OOM_EXPORT void free_sized(void *memory, size_t size)
{
	heap_sized_free(memory, size);
}

OOM_EXPORT void free_aligned_sized(void *memory, size_t alignment, size_t size)
{
	(void)alignment;
	heap_sized_free(memory, size);
}

/* ---- jemalloc's own API, as far as it is not exported as it is ---- */

OOM_EXPORT int mallctl(const char *name, void *old, size_t *old_length, void *new,
                       size_t new_length)
{
	/* A control may count the blocks, or destroy an arena that has some. */
	blocks_drain();
	return heap_mallctl(name, old, old_length, new, new_length);
}

static OOM_COLD void *descend_extended(void *old, size_t size, int flags, const void *caller)
{
	const struct heap_request request = {
		.old = old,
		.size = size,
		/* The report and the callbacks know it as bytes. */
		.alignment = MALLOCX_ALIGN_GET(flags) > 1 ? MALLOCX_ALIGN_GET(flags) : 0,
		.flags = flags,
		.is_arena_explicit = (flags & MALLOCX_ARENA_MASK) != 0,
		.caller = caller,
	};

	return ladder_descend(&request);
}

OOM_EXPORT void *mallocx(size_t size, int flags)
{
	void *memory;

	if (fail_malloc_strikes(size, CALLER))
		return NULL;
	if (likely(flags == 0))
		return heap_malloc_fast(size, &malloc_slow_path);
	flags = heap_group_flags(flags);
	memory = heap_mallocx(size, flags);
	slow_path_end();
	return likely(memory != NULL) ? memory : descend_extended(NULL, size, flags, CALLER);
}

OOM_EXPORT void *rallocx(void *old, size_t size, int flags)
{
	void *memory;

	if (fail_malloc_strikes(size, CALLER))
		return NULL;
	memory = heap_rallocx(old, size, flags);
	slow_path_end();
	return likely(memory != NULL) ? memory : descend_extended(old, size, flags, CALLER);
}
