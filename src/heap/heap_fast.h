/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The heap as malloc and operator new call it. The fast path (heap_bins.h) is inlined into these.
 * A request that the thread's cache can't serve goes to `slow`, by a tail call: that is jemalloc's
 * slow path and, behind it, the ladder.
 *
 * With heap_bins.h and heap*.c the only file that names jemalloc's internals.
 */
#ifndef OOM_HEAP_FAST_H
#define OOM_HEAP_FAST_H

#include "heap/heap_rtree.h"

#include "jemalloc/internal/jemalloc_internal_includes.h"

#include "heap/blocks.h"
#include "heap/heap_bins.h"
#include "heap/heap_group.h"

/* What the build takes out of jemalloc's public names: what can fail, and what we call ourselves,
   which must be jemalloc's even where another library comes first and takes the public name.
   jemalloc's header does not declare them under the names they get. Everything else is exported by
   jemalloc itself. */
void *je_calloc(size_t count, size_t size);
void *je_realloc(void *old, size_t size);
void *je_memalign(size_t alignment, size_t size);
void *je_mallocx(size_t size, int flags);
void *je_rallocx(void *old, size_t size, int flags);
void je_free(void *memory);
void je_malloc_stats_print(void (*put)(void *arg, const char *text), void *arg, const char *what);
int je_mallctl(const char *name, void *old, size_t *old_length, void *new, size_t new_length);
#ifdef OOM_DEBUG
size_t je_malloc_usable_size(void *memory);
size_t je_nallocx(size_t size, int flags);
size_t je_xallocx(void *memory, size_t size, size_t extra, int flags);
void je_dallocx(void *memory, int flags);
void je_sdallocx(void *memory, size_t size, int flags);
int je_mallctlbymib(const size_t *mib, size_t length, void *old, size_t *old_length, void *new,
                    size_t new_length);
#endif

struct heap_request;

/* heap_defaults.c, before jemalloc reads the settings: what it would have otherwise; and for a
   process that has this limit, or none. */
void heap_defaults(void);
void heap_defaults_limit(size_t limit);
void heap_defaults_no_limit(void);
/* Each arena takes 2 MiB for its records and has pages that are of use to itself only. Where a
   limit is small beside the number of processors, that is most of it: an arena for each so many
   bytes will do. */
#define LIMIT_BYTES_PER_ARENA (64UL << 20)
/* The number of arenas is ours: the user has set none. */
bool heap_defaults_have_arenas(void);
/* heap_prof.c: jemalloc's prof_boot2(). */
bool heap_prof_boot2(tsd_t *tsd, base_t *base);
/* jemalloc's bin_shard_sizes_boot(). */
void heap_bin_shard_sizes_boot(unsigned sizes[SC_NBINS]);

/* heap_start.c: what jemalloc calls to set up a set of extents, and to have memory for its control
   interface. */
void heap_eset_init(eset_t *eset, extent_state_t state);
void *heap_ctl_alloc(tsdn_t *tsdn, base_t *base, size_t bytes, size_t alignment);
/* Before main(): puts aside the memory that the control interface will need. */
void heap_control_prepare(void);
/* The same for the arenas that MALLOC_CONF's percpu_arena takes for granted. */
void heap_processors_prepare(void);
/* Makes an arena, without the control interface as long as that is not in use. Returns 0 or an
   error number. */
int heap_arena_create(const arena_config_t *config, unsigned *arena);

/* heap_reserve.c: see struct heap_ops. */
int heap_reserve_map(size_t bytes);
int heap_reserve_make_arena(void);
void heap_reserve_give(void);
bool heap_reserve_has_arena(void);
void *heap_reserve_alloc(const struct heap_request *request);
void *heap_alloc_moved(const struct heap_request *request);

/* By which jemalloc starts its background threads: what is in reserve is never given back, so no
   thread, with a stack of its own, has to see to that arena. True: it failed. */
bool heap_is_reserve(unsigned arena);
bool heap_background_thread_create(tsd_t *tsd, unsigned arena);

/* heap_files.c: see struct heap_ops. */
bool heap_dump_profile(const char *path, int (*open_file)(const char *path));

/* heap_leaves.c, by which a leaf of the tree of addresses is made. */
void *heap_rtree_alloc(tsdn_t *tsdn, base_t *base, size_t bytes, size_t alignment);
/* jemalloc's emap_register_boundary(), of an extent that the heap has just mapped: the pages of the
   tree that are for its addresses may be written from now on. True: no memory for a leaf. */
bool heap_leaves_register(tsdn_t *tsdn, emap_t *emap, edata_t *extent, szind_t size_index,
                          bool is_slab);
/* Makes the leaves for addresses that will be registered when memory may be short. False
   where there is none now. */
bool heap_leaves_prepare(tsdn_t *tsdn, const void *addr, size_t bytes);
/* Bytes of leaves in pages that are for no address that the heap has mapped. */
size_t heap_leaves_untouched(void);

/* heap_extent.c, by which it registers what it has mapped. */
bool heap_emap_register_boundary(tsdn_t *tsdn, emap_t *emap, edata_t *extent, szind_t size_index,
                                 bool is_slab);
void *heap_ehooks_alloc(tsdn_t *tsdn, ehooks_t *ehooks, void *at, size_t bytes, size_t alignment,
                        bool *is_zero, bool *is_committed);
/* True where the heap can have a block: heap_extent.c says what is beyond. */
bool heap_is_in_reach(const void *memory, size_t bytes);

/* heap_charge.c, by which an arena grows, and gives back. */
edata_t *heap_charge_alloc_grow(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, ecache_t *ecache,
                                edata_t *expand, size_t size, size_t alignment, bool zero,
                                bool guarded);
/* Around it: whether so much may be charged, and what came of it. */
bool heap_charge_grow(tsdn_t *tsdn, unsigned arena, size_t size);
edata_t *heap_charge_grown(edata_t *extent, unsigned arena, size_t size);
edata_t *heap_san_bump_alloc(tsdn_t *tsdn, san_bump_alloc_t *sba, pac_t *pac, ehooks_t *ehooks,
                             size_t size, bool zero);
void *heap_default_alloc(tsdn_t *tsdn, void *at, size_t size, size_t alignment, bool *zero,
                         bool *commit, unsigned arena);
bool heap_default_dalloc(void *addr, size_t size);
void heap_default_destroy(void *addr, size_t size);
bool heap_default_decommit(void *addr, size_t offset, size_t length);
bool heap_default_purge_forced(void *addr, size_t offset, size_t length);
void *heap_base_alloc_mmap(void *at, size_t size, size_t alignment, bool *zero, bool *commit);
bool heap_base_dalloc_mmap(void *addr, size_t size);
void heap_base_delete(tsdn_t *tsdn, base_t *base);
void *heap_hpa_pages_map(void *at, size_t size, size_t alignment, bool *commit);
void heap_hpa_pages_unmap(void *addr, size_t size);
/* Around sbrk(), by this thread. Returns what it was. */
bool heap_charge_enter_gap(bool is_entered);

/* Retained extents whose pages the system once refused to take back: whether there are any; once
   more; and one that may be such is no more, as it was unmapped. */
bool heap_charge_has_refused(void);
bool heap_charge_purge_again(void *addr, size_t bytes);
void heap_charge_unmapped(const edata_t *extent);
void heap_extent_destroy_wrapper(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, edata_t *extent);

/* heap_compact.c: see struct heap_ops. */
bool heap_compact(const struct heap_request *request);
/* From now on a small block may be cut from a free extent of any size. False: as before. */
bool heap_fit_any(void);
void *heap_borrow(const struct heap_request *request);

/* heap_evict.c: gives those back after all, where that can be done by now. */
void heap_purge_refused(void);
/* See struct heap_ops. */
size_t heap_evict(const struct heap_request *request, size_t bytes, enum group_keeps keeps);

/* heap_evictable.c, by which a list of free extents changes; with the list's lock held. */
void heap_eset_insert(ecache_t *list, eset_t *set, edata_t *extent);
void heap_eset_remove(ecache_t *list, eset_t *set, edata_t *extent);
/* See struct heap_ops. */
size_t heap_evictable(void);
void heap_count_evictable(void);

/* heap_keep.c, by which an extent becomes free, and jemalloc looks what of those goes back. */
ssize_t heap_pac_decay_ms_get(pac_t *pac, extent_state_t state);
void heap_ecache_dalloc(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, ecache_t *ecache,
                        edata_t *extent);
edata_t *heap_ecache_evict(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, ecache_t *ecache,
                           size_t npages_min);
void heap_arena_decay(tsdn_t *tsdn, arena_t *arena, bool is_background_thread, bool all);
/* An arena has taken so many bytes of new pages, for a block of `size`. */
void heap_keep_took(tsdn_t *tsdn, pac_t *pac, size_t bytes, size_t size);
/* The bytes that were taken anew of those given back a moment before. */
size_t heap_keep_refaults(void);
/* Where nothing is freed in the arena of huge blocks any more, or two threads freed there at the
   same time, a thread that allocates elsewhere sees to what is left there. With no lock held. */
void heap_keep_look(tsdn_t *tsdn);

/* heap_join.c, by which jemalloc has new pages. */
edata_t *heap_ecache_alloc_grow(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, ecache_t *ecache,
                                edata_t *expand, size_t size, size_t alignment, bool zero,
                                bool guarded);

/* heap_grow.c: before an arena grows. is_special: by what can't be cut from a piece. */
void heap_grow_prepare(tsdn_t *tsdn, pac_t *pac, ehooks_t *ehooks, ecache_t *ecache, size_t size,
                       size_t alignment, bool is_special);
/* Called for whatever the heap has unmapped. */
void heap_grow_unmapped(size_t bytes);

/* Retention ends, for good: while it is on, jemalloc takes it that no mapping is ever given back in
   part, and merges with what lies next to a block without asking which mapping that is of. */
void heap_end_retention(void);

/* Blocks of up to this size come from slabs that no other thread takes from, as far as there are
   enough: two threads that write to blocks of one slab may share a line of the processors' caches.
   Larger ones come from slabs of the processor. */
#define HEAP_THREAD_SHARDED_BYTES 48

/* heap_shards.c: how many shards there are for so many processors, and the one for this thread. */
unsigned heap_shards_of(unsigned processors);
unsigned heap_shard(tsdn_t *tsdn, arena_t *arena, unsigned shards);
/* Whether blocks of this class come from slabs of the processor. */
bool heap_is_by_processor(szind_t class);
/* By which a thread's cache is filled. */
void heap_arena_cache_bin_fill_small(tsdn_t *tsdn, arena_t *arena, cache_bin_t *bin,
                                     cache_bin_info_t *info, szind_t class, const unsigned count);

/* heap_pcp.c: at start, free slabs may be kept; and whether they still may. */
void heap_pcp_begin(void);
bool heap_pcp_is_on(void);
/* By which a slab is made, and becomes free. */
edata_t *heap_pa_alloc(tsdn_t *tsdn, pa_shard_t *shard, size_t size, size_t alignment, bool is_slab,
                       szind_t class, bool is_zero, bool is_guarded, bool *has_deferred);
void heap_pa_dalloc(tsdn_t *tsdn, pa_shard_t *shard, edata_t *extent, bool *has_deferred);
/* The slabs become free extents of their arena. Whether there were any. With no lock of the heap
   held, as the rest. */
bool heap_pcp_drain(tsdn_t *tsdn, unsigned index);
/* The kernel's drain_all_pages(), and for good. */
bool heap_pcp_end(tsdn_t *tsdn);
/* The kernel's decay_pcp_high(): what nobody wanted for a second goes back to the arena. */
void heap_pcp_look(tsdn_t *tsdn, arena_t *arena);
/* By which jemalloc is told at run time when pages are to go back. */
bool heap_arena_decay_ms_set(tsdn_t *tsdn, arena_t *arena, extent_state_t state, ssize_t decay_ms);
bool heap_background_threads_enable(tsd_t *tsd);
/* Before all locks of the heap, and behind them. */
void heap_pcp_prefork(tsdn_t *tsdn);
void heap_pcp_prefork_lists(tsdn_t *tsdn);
void heap_pcp_postfork_parent(tsdn_t *tsdn);
void heap_pcp_postfork_child(tsdn_t *tsdn);

/* heap_mark.c, by which an arena makes a slab of pages. */
void heap_emap_remap(tsdn_t *tsdn, emap_t *emap, edata_t *edata, szind_t szind, bool is_slab);
void heap_emap_register_interior(tsdn_t *tsdn, emap_t *emap, edata_t *edata, szind_t szind);

/* heap_fork.c, by which it turns to sbrk(), and goes through fork(). */
void *heap_extent_alloc_dss(tsdn_t *tsdn, arena_t *arena, void *at, size_t bytes, size_t alignment,
                            bool *is_zero, bool *is_committed);
void heap_base_prefork(tsdn_t *tsdn, base_t *base);
void heap_base_postfork_parent(tsdn_t *tsdn, base_t *base);
void heap_base_postfork_child(tsdn_t *tsdn, base_t *base);

/* heap_thread.c, by which jemalloc sets up a thread. */
bool heap_tcache_init(tsd_t *tsd);
tsd_t *heap_tsd_fetch_slow(tsd_t *tsd, bool is_minimal);
/* Gives the thread the cache that there was no memory for, if there is some now. */
void heap_tcache_retry(void);

/* heap_reserve.c: this thread asks for what is in reserve. */
bool heap_reserve_is_serving(void);

/* heap_arenas.c, by which a thread has an arena, waits for a lock, takes a large block, and looks
   through its cache. */
arena_t *heap_arena_choose_hard(tsd_t *tsd, bool internal);
void heap_mutex_lock_slow(malloc_mutex_t *mutex);
edata_t *heap_arena_extent_alloc_large(tsdn_t *tsdn, arena_t *arena, size_t size, size_t alignment,
                                       bool is_zero);
void heap_tcache_gc_event(tsd_t *tsd, uint64_t elapsed);
/* From now on this thread is bound to no arena but one that exists, or no longer so. */
void heap_arenas_make_none(bool is_set);
/* The program has chosen this thread's arena: the thread stays there. */
void heap_arenas_bound(void);

/* heap_peak.c, by which jemalloc knows how many bytes later it looks at a thread's peak, and is
   asked for that peak. */
uint64_t heap_peak_wait(tsd_t *tsd);
void heap_peak_event_update(tsd_t *tsd);
void heap_peak_event_zero(tsd_t *tsd);

/* heap_group.c and heap_group_cache.c, by which blocks of groups go back, threads end, and set
   which arena and cache they have. */
tcache_t *heap_group_cache_for(tsdn_t *tsdn, const void *block, tcache_t *cache);
void heap_group_place(tsdn_t *tsdn, const void *block, tcache_t **cache, arena_t **arena);
/* The flags by which a block gets one in its own group: what the debug library resizes it moves. */
int heap_group_flags_beside(const void *block, int flags);
void heap_group_set_home(tsd_t *tsd, arena_t *arena);
void heap_group_fork_child(void);
/* A thread in no group has this arena now. */
void heap_group_moved(arena_t *to);
void heap_arena_migrate(tsd_t *tsd, arena_t *from, arena_t *to);
void heap_tcache_cleanup(tsd_t *tsd);
void heap_iarena_cleanup(tsd_t *tsd);
/* heap_charge.c: from now on this thread gives back pages of that arena. Returns the arena of
   before. */
unsigned heap_charge_arena(unsigned arena);

#ifdef OOM_DEBUG
/* What checks blocks (blocks.h) has to come before each of them. */
#define heap_calloc blocks_calloc
#define heap_realloc blocks_realloc
#define heap_memalign blocks_memalign
#define heap_mallocx blocks_mallocx
#define heap_rallocx blocks_rallocx
#define heap_free blocks_free
#define heap_sized_free blocks_free_sized
#define heap_size blocks_size
#define heap_malloc_fast(size, slow) (slow)(size)
#define heap_malloc_slow blocks_malloc
#else
#define heap_calloc je_calloc
#define heap_realloc je_realloc
#define heap_memalign je_memalign
#define heap_mallocx je_mallocx
#define heap_rallocx je_rallocx
#define heap_free heap_bins_free
/* glibc looks at no size. So there are programs in which the size is wrong, as where C++ deletes
   an object by a pointer to its base class. By such a size a block would go into the bin of
   another. */
#define heap_sized_free(memory, size) ((void)(size), heap_bins_free(memory))
#define heap_size(memory) isalloc(tsdn_fetch(), memory)
#define heap_malloc_fast(size, slow) heap_bins_alloc(size, slow)
#define heap_malloc_slow malloc_default
#endif
#define heap_mallctl je_mallctl

/* jemalloc's operator new, which this library has in place of, ends the process at its first
   failure if the user wants that. */
static inline void heap_check_infallible(void)
{
	if (opt_experimental_infallible_new)
		safety_check_fail("<jemalloc>: Allocation failed and "
		                  "opt.experimental_infallible_new is true. Aborting.\n");
}

/* In a group no cache but its own serves; nor does that serve for another arena. */
static inline int heap_group_flags(int flags)
{
	if (likely(heap_own_group == 0))
		return flags;
	if ((flags & MALLOCX_ARENA_MASK) != 0)
		return flags | MALLOCX_TCACHE_NONE;
	return (flags & MALLOCX_TCACHE_MASK) == MALLOCX_TCACHE_NONE ? flags
	                                                            : flags & ~MALLOCX_TCACHE_MASK;
}

static inline void *heap_not_cached(size_t size)
{
	(void)size;
	return NULL;
}

/* A block from the thread's cache, or NULL where malloc() would leave its fast path. */
static inline void *heap_cached(size_t size)
{
	return heap_malloc_fast(size, &heap_not_cached);
}

/* jemalloc has no fast path for these two. It zeroes the whole block, whatever was asked for: a
   later rallocx(MALLOCX_ZERO) relies on it. */
static inline void *heap_cached_zeroed(size_t size)
{
	void *memory = heap_cached(size);

	return likely(memory != NULL) ? memset(memory, 0, sz_s2u(size)) : NULL;
}

/* A small block is aligned to the largest power of two that divides its size class; that is how
   jemalloc itself finds one. `alignment` is a power of two. */
static inline void *heap_cached_aligned(size_t alignment, size_t size)
{
	if (unlikely(size > SC_LOOKUP_MAXCLASS || alignment > PAGE))
		return NULL;
	/* One of 0 bytes as well. */
	return heap_cached(ALIGNMENT_CEILING(size + (size == 0), alignment));
}

#endif
