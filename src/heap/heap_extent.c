/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Places where jemalloc does not look at what a mapping came to, made good in what it calls
 * instead (heap_glue.h).
 */
#include <stdatomic.h>
#include <sys/mman.h>

#include "base/base.h"
#include "heap/heap_fast.h"
#include "heap/heap_maps.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"
#include "limits/pages.h"

/*
 * Of an address jemalloc's records keep LG_VADDR bits, the topmost as the sign: two blocks that
 * differ above them are one to it. The kernel's addresses end below that, but for programs that ask
 * it for more by a hint (x86_64 with 57 bits, aarch64 with 52), or that have used up the rest
 * (s390x).
 */
bool heap_is_in_reach(const void *memory, size_t bytes)
{
#if LG_VADDR == 64
	const int bits = 64;
#elif defined(__aarch64__)
	const int bits = LG_VADDR; /* all addresses are positive there */
#else
	const int bits = LG_VADDR - 1;
#endif
	const uintptr_t last = UINTPTR_MAX >> (64 - bits), at = (uintptr_t)memory;

	return at <= last && bytes <= last - at + 1;
}

/* At its start jemalloc maps one page, to see what MADV_DONTNEED does, and goes on as if it had got
   it. Where there is not one page to be had it gets this one, and fails at its next mapping, which
   it looks at. */
static _Alignas(PAGE) char spare[PAGE];

void *heap_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	void *mapped = pages_mmap(addr, length, prot, flags, fd, offset);

	if (unlikely(mapped == MAP_FAILED) && length == sizeof spare && !malloc_initialized())
		return spare;
	if (unlikely(mapped != MAP_FAILED && !heap_is_in_reach(mapped, length))) {
		pages_munmap(mapped, length);
		return MAP_FAILED;
	}
	return mapped;
}

void *heap_ehooks_alloc(tsdn_t *tsdn, ehooks_t *ehooks, void *at, size_t bytes, size_t alignment,
                        bool *is_zero, bool *is_committed)
{
	bool is_default = ehooks_are_default(ehooks);
	void *memory = is_default ? heap_default_alloc(tsdn, at, bytes, alignment, is_zero,
	                                               is_committed, ehooks_ind_get(ehooks))
	                          : ehooks_alloc(tsdn, ehooks, at, bytes, alignment, is_zero,
	                                         is_committed);

	if (likely(memory == NULL || heap_is_in_reach(memory, bytes)))
		return memory;
	if (is_default)
		heap_default_destroy(memory, bytes);
	else
		ehooks_dalloc(tsdn, ehooks, memory, bytes, *is_committed);
	return NULL;
}

/* jemalloc takes no notice of a refusal, but for a line on stderr. */
int heap_munmap(void *addr, size_t length)
{
	if (likely(addr != spare))
		heap_maps_unmap(addr, length);
	return 0;
}

/* The heap keeps a record of 2 MiB for each GiB of addresses in which it has blocks. Where there is
   room for the block but not for its record, jemalloc forgets what it has just mapped. */
bool heap_emap_register_boundary(tsdn_t *tsdn, emap_t *emap, edata_t *extent, szind_t size_index,
                                 bool is_slab)
{
	arena_t *arena;

	if (likely(!heap_leaves_register(tsdn, emap, extent, size_index, is_slab)))
		return false;
	arena = arena_get(tsdn, edata_arena_ind_get(extent), false);
	if (arena != NULL && ehooks_are_default(arena_get_ehooks(arena)) &&
	    !(have_dss && extent_in_dss(edata_base_get(extent))))
		heap_maps_drop(edata_base_get(extent), edata_size_get(extent));
	return true;
}
