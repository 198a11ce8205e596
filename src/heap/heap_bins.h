/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small blocks from the bins of the current thread's cache, and back: what malloc() and free() do
 * nearly always, in few instructions. All else goes to jemalloc: a thread whose records are not set
 * up, an event that is due, an empty or a full bin, a block that is not small. A thread that needs
 * more than this has a threshold of events of 0, so one comparison tells.
 *
 * A thread's records have addresses relative to the thread pointer, where the processor has a
 * register for that and the compiler a name for it; elsewhere they have plain addresses.
 */
#ifndef OOM_HEAP_BINS_H
#define OOM_HEAP_BINS_H

#include "jemalloc/internal/jemalloc_preamble.h"

#include "jemalloc/internal/jemalloc_internal_includes.h"

/* What is behind the fast path: heap_group.c, where there are groups, and jemalloc. */
void heap_free_slow(void *memory);
void heap_free_sized_slow(void *memory, size_t size);

#if defined(__x86_64__) && defined(__LP64__) && defined(__SEG_FS) && !defined(__clang__) && \
	defined(__has_builtin)
#if __has_builtin(__builtin_thread_pointer)
#define OOM_OF_THREAD __seg_fs
#endif
#endif
#ifdef OOM_OF_THREAD
#define heap_bins_base() ((uintptr_t)__builtin_thread_pointer())
#else
#define OOM_OF_THREAD
#define heap_bins_base() ((uintptr_t)0)
#endif

/* From here on the compiler knows nothing of `number`. */
#define HEAP_BINS_HIDE(number) __asm__("" : "+r"(number))

/* The item that `getter` leads to, of the records that begin at `thread`. */
#define HEAP_BINS_ITEM(type, thread, getter)                                      \
	((type OOM_OF_THREAD *)((thread) + ((uintptr_t)(getter)(tsd_get(false)) - \
	                                    (uintptr_t)tsd_get(false))))

/* Bins are counted in words, since addressing modes scale by these. */
#define HEAP_BINS_WORDS (sizeof(cache_bin_t) / sizeof(void *))
_Static_assert(sizeof(cache_bin_t) % sizeof(void *) == 0, "a bin is no whole number of words");

/* The bin after as many words of bins. Addressing modes have room for all that its address is made
   of: what is hidden can't be added up beforehand, which takes an instruction and a register. */
#define HEAP_BINS_BIN(thread, words)                                                              \
	__extension__({                                                                           \
		HEAP_BINS_HIDE(thread);                                                           \
		HEAP_BINS_HIDE(words);                                                            \
		(cache_bin_t OOM_OF_THREAD *)((uintptr_t)HEAP_BINS_ITEM(tcache_t, thread,         \
		                                                        tsd_tcachep_get_unsafe) + \
		                              offsetof(tcache_t, bins) +                          \
		                              (words) * sizeof(void *));                          \
	})

#ifdef JEMALLOC_UAF_DETECTION
#error "Each free() would have to leave a sample of the blocks to jemalloc."
#endif

#define heap_bins_inline static inline __attribute__((always_inline))

/* The current thread's records, relative to heap_bins_base(). */
heap_bins_inline uintptr_t heap_bins_thread(void)
{
	uintptr_t thread = (uintptr_t)tsd_get(false) - heap_bins_base();

	HEAP_BINS_HIDE(thread);
	return thread;
}

/* A block of at least `size` bytes, or what `slow` returns. */
heap_bins_inline void *heap_bins_alloc(size_t size, void *(*slow)(size_t size))
{
	uintptr_t thread, words;
	uint64_t allocated;
	size_t usable;
	szind_t index;
	void **head, *block;

	if (unlikely(size > SC_LOOKUP_MAXCLASS))
		return slow(size);
	thread = heap_bins_thread();
	/* Zeroes as long as the heap has not started, when the threshold is 0. */
	sz_size2index_usize_fastpath(size, &index, &usable);
	HEAP_BINS_HIDE(usable);
	words = index * HEAP_BINS_WORDS;
	HEAP_BINS_HIDE(words);
	allocated = *HEAP_BINS_ITEM(uint64_t, thread, tsd_thread_allocatedp_get_unsafe) + usable;
	if (unlikely(allocated >=
	             *HEAP_BINS_ITEM(uint64_t, thread,
	                             tsd_thread_allocated_next_event_fastp_get_unsafe)))
		return slow(size);
	head = HEAP_BINS_BIN(thread, words)->stack_head;
	/* The bin was never so empty since the cache was looked through last, or it is empty. */
	if (unlikely((uint16_t)(uintptr_t)head ==
	             HEAP_BINS_BIN(thread, words)->low_bits_low_water)) {
		if ((uint16_t)(uintptr_t)head == HEAP_BINS_BIN(thread, words)->low_bits_empty)
			return slow(size);
		HEAP_BINS_BIN(thread, words)->low_bits_low_water = (uint16_t)(uintptr_t)(head + 1);
	}
	/* The block is read before it leaves the bin: a signal's handler that frees one in between
	   would put that one into its place, and this one would be given out twice. */
	block = *head;
	__asm__("" : "+r"(head), "+r"(block));
	HEAP_BINS_BIN(thread, words)->stack_head = head + 1;
	if (config_stats)
		HEAP_BINS_BIN(thread, words)->tstats.nrequests++;
	HEAP_BINS_HIDE(thread);
	*HEAP_BINS_ITEM(uint64_t, thread, tsd_thread_allocatedp_get_unsafe) = allocated;
	return block;
}

/* Puts a block of this size class into its bin, or returns false. */
heap_bins_inline bool heap_bins_put(void *memory, uintptr_t index)
{
	uintptr_t thread = heap_bins_thread(), words = index * HEAP_BINS_WORDS;
	uint64_t freed = *HEAP_BINS_ITEM(uint64_t, thread, tsd_thread_deallocatedp_get_unsafe) +
	                 sz_index2size_lookup_impl((szind_t)index);
	void **head;

	if (unlikely(freed >= *HEAP_BINS_ITEM(uint64_t, thread,
	                                      tsd_thread_deallocated_next_event_fastp_get_unsafe)))
		return false;
	head = HEAP_BINS_BIN(thread, words)->stack_head;
	if (unlikely((uint16_t)(uintptr_t)head == HEAP_BINS_BIN(thread, words)->low_bits_full))
		return false;
	*--head = memory;
	HEAP_BINS_BIN(thread, words)->stack_head = head;
	HEAP_BINS_HIDE(thread);
	*HEAP_BINS_ITEM(uint64_t, thread, tsd_thread_deallocatedp_get_unsafe) = freed;
	return true;
}

/* The size class of a small block; false for NULL and for each other pointer. A block that heap
   profiling has sampled is not small. */
heap_bins_inline bool heap_bins_class(const void *memory, uintptr_t *index)
{
#if defined(RTREE_LEAF_COMPACT) && RTREE_HEIGHT == 2
	/* The thread's cache of this tree would take one instruction more. */
	rtree_node_elm_t *root = arena_emap_global.rtree.root;
	rtree_leaf_elm_t *leaf;
	uintptr_t bits;

	HEAP_BINS_HIDE(root);
	leaf = atomic_load_p(&root[rtree_subkey((uintptr_t)memory, 0)].child, ATOMIC_ACQUIRE);
	if (unlikely(leaf == NULL))
		return false;
	bits = rtree_leaf_elm_bits_read(NULL, &arena_emap_global.rtree,
	                                &leaf[rtree_subkey((uintptr_t)memory, 1)], true);
	if (unlikely((bits & 1) == 0)) /* no slab */
		return false;
	HEAP_BINS_HIDE(bits);
	*index = bits >> LG_VADDR;
	return true;
#else
	emap_alloc_ctx_t found;

	if (unlikely(emap_alloc_ctx_try_lookup_fast(tsd_get(false), &arena_emap_global, memory,
	                                            &found) ||
	             !found.slab))
		return false;
	*index = found.szind;
	return true;
#endif
}

heap_bins_inline void heap_bins_free(void *memory)
{
	uintptr_t index;

	if (unlikely(!heap_bins_class(memory, &index) || !heap_bins_put(memory, index)))
		heap_free_slow(memory);
}

/* For a caller that knows the size. A block that begins with a page may be a sampled one. */
heap_bins_inline void heap_bins_free_sized(void *memory, size_t size)
{
	if (unlikely(size > SC_LOOKUP_MAXCLASS || ((uintptr_t)memory & PAGE_MASK) == 0 ||
	             !heap_bins_put(memory, sz_size2index_lookup_impl(size))))
		heap_free_sized_slow(memory, size);
}

#endif
