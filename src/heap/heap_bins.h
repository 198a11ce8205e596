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

#include <stdatomic.h>

#include "heap/heap_mark.h"

#include "jemalloc/internal/jemalloc_internal_includes.h"

/* What is behind the fast path of free(): heap_bins.c. */
void heap_free_slow(void *memory);

/* There is a group, or was. Never taken back. */
extern atomic_bool heap_has_groups;

/* heap_bins.c: a block of more than SC_LOOKUP_MAXCLASS bytes from the thread's cache, or what
   `slow` returns. */
void *heap_bins_alloc_larger(size_t size, void *(*slow)(size_t size));

/* By which a cache sets up its bins: heap_bins.c. */
void heap_cache_bin_init(cache_bin_t *bin, cache_bin_info_t *info, void *stack, size_t *at);

#if defined(__x86_64__) && defined(__LP64__) && defined(__SEG_FS) && !defined(__clang__) && \
	defined(__has_builtin)
#if __has_builtin(__builtin_thread_pointer)
#define OOM_OF_THREAD __seg_fs
#define HEAP_BINS_BY_SEGMENT
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

/* Between the last item of a bin and the next bin are two bytes of which jemalloc knows nothing: a
   bin for small blocks has their size there, where no class is too large for that. */
#define HEAP_BINS_SIZE_OFFSET (offsetof(cache_bin_t, low_bits_empty) + sizeof(uint16_t))
#define HEAP_BINS_HAVE_SIZES (SC_SMALL_MAXCLASS <= UINT16_MAX)
_Static_assert(HEAP_BINS_SIZE_OFFSET + sizeof(uint16_t) <= sizeof(cache_bin_t),
               "a bin has no room for a size");

/* Of the bin after as many words, which is the bin of this class. */
#define HEAP_BINS_SIZE(thread, words, index)                                             \
	(HEAP_BINS_HAVE_SIZES                                                            \
	         ? *(uint16_t OOM_OF_THREAD *)((uintptr_t)HEAP_BINS_BIN(thread, words) + \
	                                       HEAP_BINS_SIZE_OFFSET)                    \
	         : sz_index2size_lookup_impl((szind_t)(index)))

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
	uintptr_t thread, words, index;
	uint64_t allocated;
	void **head, *block;

	if (unlikely(size > SC_LOOKUP_MAXCLASS))
		return heap_bins_alloc_larger(size, slow);
	thread = heap_bins_thread();
	/* Zero as long as the heap has not started, when the threshold is 0. */
	index = sz_size2index_lookup_impl(size);
	words = index * HEAP_BINS_WORDS;
	HEAP_BINS_HIDE(words);
	allocated = HEAP_BINS_SIZE(thread, words, index) +
	            *HEAP_BINS_ITEM(uint64_t, thread, tsd_thread_allocatedp_get_unsafe);
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
	__asm__("" : "+r"(head) : "r"(block));
	HEAP_BINS_BIN(thread, words)->stack_head = head + 1;
	if (config_stats)
		HEAP_BINS_BIN(thread, words)->tstats.nrequests++;
	HEAP_BINS_HIDE(thread);
	*HEAP_BINS_ITEM(uint64_t, thread, tsd_thread_allocatedp_get_unsafe) = allocated;
	return block;
}

/* Puts a block of this size class into its bin, or returns false. */
heap_bins_inline bool heap_bins_put(uintptr_t thread, void *memory, uintptr_t index)
{
	uintptr_t words = index * HEAP_BINS_WORDS;
	uint64_t freed;
	void **head;

	HEAP_BINS_HIDE(words);
	freed = HEAP_BINS_SIZE(thread, words, index) +
	        *HEAP_BINS_ITEM(uint64_t, thread, tsd_thread_deallocatedp_get_unsafe);
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

#ifdef HEAP_HAS_MARKS
/* The mark and the size class of a page: the upper half of the upper half of its element. */
heap_bins_inline uintptr_t heap_bins_top(rtree_leaf_elm_t *leaf, uintptr_t at)
{
#ifdef __x86_64__
	/* A load of it alone: no bit of the rest is wanted. */
	typedef uint16_t __attribute__((may_alias)) half;

	HEAP_BINS_HIDE(at);
	return ((const half *)&leaf[at])[LG_VADDR / 16];
#else
	return rtree_leaf_elm_bits_read(NULL, NULL, &leaf[at], true) >> LG_VADDR;
#endif
}

/* The same by the number of the page, which is not 0. A page without a block of the heap's may have
   no leaf, here as in jemalloc. The thread's cache of this tree would take one instruction more. */
heap_bins_inline uintptr_t heap_bins_top_of(uintptr_t page)
{
	rtree_node_elm_t *root = arena_emap_global.rtree.root;
	rtree_leaf_elm_t *leaf;

	HEAP_BINS_HIDE(root);
	HEAP_BINS_HIDE(page);
	leaf = atomic_load_p(&root[page >> (rtree_leaf_maskbits() - LG_PAGE)].child,
	                     ATOMIC_ACQUIRE);
	return heap_bins_top(leaf, rtree_subkey(page << LG_PAGE, 1));
}

/* Takes the thread's mark out of `top`. False: it was not in. */
heap_bins_inline bool heap_bins_is_own(uintptr_t thread, uintptr_t *top)
{
	const uintptr_t OOM_OF_THREAD *own =
		(const uintptr_t OOM_OF_THREAD *)(thread + HEAP_MARK_OFFSET);
#ifdef HEAP_BINS_BY_SEGMENT
	bool differs;

	/* By the name that the second byte of a register has, in the registers that have one. */
	__asm__("xorb %%fs:%c[at](%[thread]), %h[top]"
	        : [top] "+Q"(*top), "=@ccnz"(differs)
	        : [thread] "R"(thread), [at] "i"(HEAP_MARK_OFFSET), "m"(*own));
	return likely(!differs);
#else
	*top ^= *own << CHAR_BIT;
	return likely(*top <= UINT8_MAX);
#endif
}
#endif

/* The size class of a small block that this thread's cache may have; false for NULL and for each
   other pointer. A block that heap profiling has sampled is not small. */
heap_bins_inline bool heap_bins_class(uintptr_t thread, const void *memory, uintptr_t *index)
{
#ifdef HEAP_HAS_MARKS
	uintptr_t page = (uintptr_t)memory >> LG_PAGE;

	/* NULL is known by its page. */
	if (unlikely(page == 0))
		return false;
	*index = heap_bins_top_of(page);
	return heap_bins_is_own(thread, index);
#else
	emap_alloc_ctx_t found;

	(void)thread;
	if (unlikely(atomic_load_explicit(&heap_has_groups, memory_order_relaxed) ||
	             emap_alloc_ctx_try_lookup_fast(tsd_get(false), &arena_emap_global, memory,
	                                            &found) ||
	             !found.slab))
		return false;
	*index = found.szind;
	return true;
#endif
}

/* False: nothing was done. */
heap_bins_inline bool heap_bins_try_free(void *memory)
{
	uintptr_t thread = heap_bins_thread(), index;

	return likely(heap_bins_class(thread, memory, &index)) &&
	       likely(heap_bins_put(thread, memory, index));
}

heap_bins_inline void heap_bins_free(void *memory)
{
	if (unlikely(!heap_bins_try_free(memory)))
		heap_free_slow(memory);
}

#endif
