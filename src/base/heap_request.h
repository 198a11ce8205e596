/* SPDX-License-Identifier: BSD-2-Clause */
/* One allocation, in a form in which it can be tried again. */
#ifndef OOM_HEAP_REQUEST_H
#define OOM_HEAP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include "base/base.h"

struct heap_request {
	void *old;        /* the block to be resized, NULL for a new one */
	size_t size;      /* bytes; 0 is served as 1 */
	size_t alignment; /* a power of two, 0 for the default */
	int flags;        /* jemalloc's MALLOCX_ZERO, _TCACHE and _ARENA, if any */
	bool is_arena_explicit;
	const void *caller; /* in the program; NULL: not known */
	bool is_for_libc;   /* which ends the process where it gets NULL */
};

/* Linux has no smaller pages. Asked first: sysconf() takes a tenth of the instructions of a malloc
   that fails. */
#define LEAST_PAGE_BYTES 4096

/* True where an aligned block takes more than its size, wherever it comes to lie: every address is
   a page's first. */
static inline bool request_is_aligned(const struct heap_request *request)
{
	return request->alignment > LEAST_PAGE_BYTES &&
	       request->alignment > (size_t)sysconf(_SC_PAGESIZE);
}

/* Bytes that have to be free side by side for the block, size and alignment together. */
static inline size_t request_bytes(const struct heap_request *request)
{
	return request_is_aligned(request)
	               ? add_saturated(request->size,
	                               request->alignment - (size_t)sysconf(_SC_PAGESIZE))
	               : request->size;
}

/* A huge page. The kernel may align a larger mapping to it by itself, and then the block takes no
   more than its size. */
#define ALIGNMENT_FOR_NOTHING ((size_t)2 << 20)

/* The least that can do for the block, size and alignment together. */
static inline size_t request_least_bytes(const struct heap_request *request)
{
	return request->alignment > ALIGNMENT_FOR_NOTHING ? request_bytes(request) : request->size;
}

#endif
