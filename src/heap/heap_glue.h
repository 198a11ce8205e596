/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Included by force in front of every source file of jemalloc: how jemalloc's calls to the system
 * reach us without a patch to it.
 *
 *  - mmap, munmap, sbrk, madvise go through pages.c, the one place that maps memory;
 *  - the call by which it reads MALLOC_CONF is the last moment before its options are fixed and
 *    comes before its first allocation, so our own options are read there;
 *  - its messages and the files of its heap profiles go through heap_files.c: no cancellation
 *    point, no signal, and no message waits for its reader;
 *  - two functions that a thread's first allocation relies on can't fail any more (heap_thread.c,
 *    heap_arenas.c);
 *  - errno becomes a variable of jemalloc's own. It sets ENOMEM before our ladder has even begun;
 *    with this, errno is ours alone to set, and an allocation that succeeds on a later rung leaves
 *    the caller's errno as it was without anybody having to save it on the fast path.
 */
#ifndef OOM_HEAP_GLUE_H
#define OOM_HEAP_GLUE_H

/* What jemalloc defines for itself (on the command line or later) stays its own business. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* jemalloc's operator new is not built in, but the setting for it is: the library's own keeps to
   it. */
#define JEMALLOC_ENABLE_CXX

/* jemalloc's private names are macros that end in these; in the files that call them,
   most often one, they lead to heap_arenas.c, heap_defaults.c, heap_prof.c, heap_thread.c,
   heap_extent.c, heap_charge.c, heap_keep.c, heap_join.c, heap_fork.c, heap_leaves.c, heap_start.c,
   heap_reserve.c, heap_pcp.c, heap_peak.c and heap_math.c. */
#ifdef OOM_HEAP_GLUE_TSD
#define je_tsd_tcache_enabled_data_init heap_tcache_init
#endif
#ifdef OOM_HEAP_GLUE_EXTENT
#define je_emap_register_boundary heap_emap_register_boundary
#define je_ehooks_default_dalloc_impl heap_default_dalloc
#define je_ehooks_default_destroy_impl heap_default_destroy
#define je_ehooks_default_decommit_impl heap_default_decommit
#define je_ehooks_default_purge_forced_impl heap_default_purge_forced
#define je_pac_decay_ms_get heap_pac_decay_ms_get
#endif
#ifdef OOM_HEAP_GLUE_PAC
#define je_ecache_alloc_grow heap_ecache_alloc_grow
#define je_san_bump_alloc heap_san_bump_alloc
#define je_ecache_dalloc heap_ecache_dalloc
#define je_ecache_evict heap_ecache_evict
#define je_extent_destroy_wrapper heap_extent_destroy_wrapper
#endif
#ifdef OOM_HEAP_GLUE_PA
#define je_emap_remap heap_emap_remap
#define je_emap_register_interior heap_emap_register_interior
#endif
#ifdef OOM_HEAP_GLUE_EHOOKS
#define je_extent_alloc_dss heap_extent_alloc_dss
#endif
#ifdef OOM_HEAP_GLUE_HPA
#define je_pages_map heap_hpa_pages_map
#define je_pages_unmap heap_hpa_pages_unmap
#endif
#ifdef OOM_HEAP_GLUE_ARENA
#define je_pa_alloc heap_pa_alloc
#define je_pa_dalloc heap_pa_dalloc
#define je_base_delete heap_base_delete
#define je_base_prefork heap_base_prefork
#define je_base_postfork_parent heap_base_postfork_parent
#define je_base_postfork_child heap_base_postfork_child
#endif
#ifdef OOM_HEAP_GLUE_JEMALLOC
#define je_background_thread_create heap_background_thread_create
#define je_bin_shard_sizes_boot heap_bin_shard_sizes_boot
#define je_prof_boot2 heap_prof_boot2
#define je_tsd_fetch_slow heap_tsd_fetch_slow
/* Its header declares it under its public name, which the build takes away, and it is called in
   front of its definition. */
void je_malloc_stats_print_raw(void (*put)(void *arg, const char *text), void *arg,
                               const char *what);
#endif
#ifdef OOM_HEAP_GLUE_ECACHE
#define je_eset_init heap_eset_init
#endif
#ifdef OOM_HEAP_GLUE_RTREE
#define je_base_alloc heap_rtree_alloc
#endif
#ifdef OOM_HEAP_GLUE_CTL
#define je_base_alloc heap_ctl_alloc
#endif
#ifdef OOM_HEAP_GLUE_PROF
#include <math.h>
#define log(x) heap_log(x)
#define exp(x) heap_exp(x)
#define round(x) heap_round(x)
double heap_log(double x);
double heap_exp(double x);
double heap_round(double x);
#endif
#ifdef OOM_HEAP_GLUE_TSD
#define je_iarena_cleanup heap_iarena_cleanup
#endif
#if defined(OOM_HEAP_GLUE_CTL) || defined(OOM_HEAP_GLUE_JEMALLOC) || defined(OOM_HEAP_GLUE_TCACHE)
#define je_arena_decay heap_arena_decay
#endif
#ifdef OOM_HEAP_GLUE_CTL
#define je_tcache_cleanup heap_tcache_cleanup
#define je_arena_migrate heap_arena_migrate
#define je_arena_decay_ms_set heap_arena_decay_ms_set
#define je_background_threads_enable heap_background_threads_enable
#define je_peak_event_update heap_peak_event_update
#define je_peak_event_zero heap_peak_event_zero
#endif
#ifdef OOM_HEAP_GLUE_THREAD_EVENT
#define je_tcache_gc_event_handler heap_tcache_gc_event
#define je_peak_alloc_new_event_wait heap_peak_wait
#define je_peak_dalloc_new_event_wait heap_peak_wait
#endif
#if !defined(OOM_HEAP_GLUE_JEMALLOC) && !defined(OOM_HEAP_GLUE_DECLARATIONS)
#define je_arena_choose_hard heap_arena_choose_hard
#endif
#ifdef OOM_HEAP_GLUE_LARGE
#define je_arena_extent_alloc_large heap_arena_extent_alloc_large
#endif
#if !defined(OOM_HEAP_GLUE_MUTEX) && !defined(OOM_HEAP_GLUE_DECLARATIONS)
#define je_malloc_mutex_lock_slow heap_mutex_lock_slow
#endif
#ifdef OOM_HEAP_GLUE_TCACHE
#define je_arena_cache_bin_fill_small heap_arena_cache_bin_fill_small
#define je_cache_bin_init heap_cache_bin_init
#endif

extern __thread int heap_errno __attribute__((tls_model("initial-exec"), visibility("hidden")));
void *heap_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
int heap_munmap(void *addr, size_t length);
void *pages_sbrk(intptr_t increment);
int pages_madvise(void *addr, size_t length, int advice);
char *heap_conf_getenv(const char *name);
ssize_t heap_readlink(const char *path, char *buf, size_t size);
int heap_creat(const char *path, mode_t mode);
int heap_open(const char *path, int flags);
int heap_close(int fd);
ssize_t heap_write(int fd, const void *text, size_t bytes);
int heap_wants_fork(void);
int heap_getaffinity(pid_t process, size_t bytes, cpu_set_t *set);

/* jemalloc_heap.c, which defines these, takes the declarations alone. */
#ifndef OOM_HEAP_GLUE_DECLARATIONS
#undef errno
#define errno heap_errno
#define mmap(addr, length, prot, flags, fd, offset) heap_mmap(addr, length, prot, flags, fd, offset)
#define munmap(addr, length) heap_munmap(addr, length)
#define sbrk(increment) pages_sbrk(increment)
#define madvise(addr, length, advice) pages_madvise(addr, length, advice)
#define secure_getenv(name) heap_conf_getenv(name)
#define readlink(path, buf, size) heap_readlink(path, buf, size)
/* Its handlers are called from the library's: heap_fork.c. */
#define pthread_atfork(prepare, parent, child) heap_wants_fork()
#define sched_getaffinity(process, bytes, set) heap_getaffinity(process, bytes, set)
#define creat(path, mode) heap_creat(path, mode)
#define open(path, flags) heap_open(path, flags)
#define close(fd) heap_close(fd)
/* By it jemalloc reads /proc, which need not be there; and writes. */
#define syscall(number, ...) heap_call_##number(number, __VA_ARGS__)
#define heap_call_SYS_write(number, fd, text, bytes) heap_write(fd, text, bytes)
#define heap_call_SYS_read heap_call
#define heap_call_SYS_open heap_call
#define heap_call_SYS_openat heap_call
#define heap_call_SYS_close heap_call
#define heap_call(...)                                     \
	__extension__({                                    \
		int heap_saved = *__errno_location();      \
		long heap_result = (syscall)(__VA_ARGS__); \
                                                           \
		*__errno_location() = heap_saved;          \
		heap_result;                               \
	})
#endif

/* Two of jemalloc's assertions fail legitimately when memory is short; they are skipped by their
   text. Check both strings at every update (docs/jemalloc.md). The first asserts that a thread gets
   an arena: where it does not, jemalloc copes, or heap_arenas.c does. The second asserts that a
   heap which could not start is not started again. */
#if defined(OOM_DEBUG) && !defined(OOM_HEAP_GLUE_DECLARATIONS)
#include <string.h>
__attribute__((noreturn)) void assert_heap_failed(const char *file, int line, const char *what);
#define assert(condition)                                                     \
	do {                                                                  \
		if (!(condition) && strcmp(#condition, "ret") != 0 &&         \
		    strcmp(#condition, "read_source++ == which_source") != 0) \
			assert_heap_failed(__FILE__, __LINE__, #condition);   \
	} while (0)
#endif

/* Each block that jemalloc takes for its own records is larger than the one before, in steps of 2
   MiB: to have few of them. Where address space is limited the rest of the last one would be lost
   to everybody. */
#ifdef OOM_HEAP_GLUE_BASE
#define je_extent_alloc_mmap heap_base_alloc_mmap
#define je_extent_dalloc_mmap heap_base_dalloc_mmap
#endif
#ifndef OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_mark.h"
#endif
#if defined(OOM_HEAP_GLUE_BASE) || defined(OOM_HEAP_GLUE_EXTENT) || \
	defined(OOM_HEAP_GLUE_JEMALLOC) || defined(OOM_HEAP_GLUE_BACKGROUND)
#include "jemalloc/internal/jemalloc_preamble.h"

#include "jemalloc/internal/jemalloc_internal_includes.h"
#endif
#ifdef OOM_HEAP_GLUE_BASE
#define sz_pind2sz(index) (opt_retain ? sz_pind2sz(index) : HUGEPAGE)
#endif

/* Which arenas have a background thread. */
#ifdef OOM_HEAP_GLUE_BACKGROUND
bool heap_is_reserve(unsigned arena);
#define arena_get(tsdn, index, may_make) \
	(heap_is_reserve(index) ? NULL : (arena_get)(tsdn, index, may_make))
#endif

/* Where it asks a program's own extent hooks for memory: heap_extent.c looks at what they say. */
#if defined(OOM_HEAP_GLUE_BASE) || defined(OOM_HEAP_GLUE_EXTENT)
void *heap_ehooks_alloc(tsdn_t *tsdn, ehooks_t *ehooks, void *at, size_t bytes, size_t alignment,
                        bool *is_zero, bool *is_committed);
#define ehooks_alloc heap_ehooks_alloc
#endif

/* Pages go back: heap_charge.c is told the arena that they are of. */
#ifdef OOM_HEAP_GLUE_EXTENT
unsigned heap_charge_arena(unsigned arena);
#define heap_by_arena(ehooks, call)                                            \
	__extension__({                                                        \
		unsigned heap_was = heap_charge_arena(ehooks_ind_get(ehooks)); \
		bool heap_result = (call);                                     \
                                                                               \
		heap_charge_arena(heap_was);                                   \
		heap_result;                                                   \
	})
#define ehooks_dalloc(tsdn, ehooks, ...) \
	heap_by_arena(ehooks, (ehooks_dalloc)(tsdn, ehooks, __VA_ARGS__))
#define ehooks_decommit(tsdn, ehooks, ...) \
	heap_by_arena(ehooks, (ehooks_decommit)(tsdn, ehooks, __VA_ARGS__))
#define ehooks_purge_forced(tsdn, ehooks, ...) \
	heap_by_arena(ehooks, (ehooks_purge_forced)(tsdn, ehooks, __VA_ARGS__))
#endif

/* An extent becomes free, or is used again: heap_evictable.c is told the list. Each function of
   extent.c that does this calls that `ecache`. */
#ifdef OOM_HEAP_GLUE_EXTENT
void heap_eset_insert(ecache_t *list, eset_t *set, edata_t *extent);
void heap_eset_remove(ecache_t *list, eset_t *set, edata_t *extent);
#define eset_insert(set, extent) heap_eset_insert(ecache, set, extent)
#define eset_remove(set, extent) heap_eset_remove(ecache, set, extent)
#endif

/* A thread is in no group at first: heap_mark.h. */
#if defined(OOM_HEAP_GLUE_TSD) && !defined(OOM_DEBUG)
#undef WITNESS_TSD_INITIALIZER
#define WITNESS_TSD_INITIALIZER                      \
	{                                            \
		{(witness_t *)HEAP_MARK_ROOT}, false \
	}
#endif

/* A block goes back to the group that it is of (heap_group.c): from the first group on no cache but
   that group's takes it, and one that is resized stays there. */
#ifdef OOM_HEAP_GLUE_JEMALLOC
extern _Atomic(bool) heap_has_groups __attribute__((visibility("hidden")));
static inline bool heap_has_groups_now(void)
{
	return __builtin_expect(__atomic_load_n((bool *)&heap_has_groups, __ATOMIC_RELAXED), 0);
}
tcache_t *heap_group_cache_for(tsdn_t *tsdn, const void *block, tcache_t *cache);
void heap_group_place(tsdn_t *tsdn, const void *block, tcache_t **cache, arena_t **arena);
JEMALLOC_ALWAYS_INLINE tcache_t *heap_cache_for(tsdn_t *tsdn, const void *block, tcache_t *cache)
{
	return cache != NULL && heap_has_groups_now() ? heap_group_cache_for(tsdn, block, cache)
	                                              : cache;
}
JEMALLOC_ALWAYS_INLINE void *heap_iralloct(tsdn_t *tsdn, void *block, size_t old_size, size_t size,
                                           size_t alignment, bool is_zero, tcache_t *cache,
                                           arena_t *arena, hook_ralloc_args_t *args)
{
	if (heap_has_groups_now())
		heap_group_place(tsdn, block, &cache, &arena);
	return iralloct(tsdn, block, old_size, size, alignment, is_zero, cache, arena, args);
}
#define iralloct heap_iralloct
#define idalloctm(tsdn, block, cache, ...) \
	(idalloctm)(tsdn, block, heap_cache_for(tsdn, block, cache), __VA_ARGS__)
#define isdalloct(tsdn, block, size, cache, ...) \
	(isdalloct)(tsdn, block, size, heap_cache_for(tsdn, block, cache), __VA_ARGS__)
/* A sampled block keeps its sample's record while a cache has it. arena.<i>.reset, by which a group
   is freed, would count it as freed once more, when the record may be gone. */
JEMALLOC_ALWAYS_INLINE void heap_prof_free(tsd_t *tsd, const void *block, size_t size,
                                           emap_alloc_ctx_t *found)
{
	prof_free(tsd, block, size, found);
	prof_tctx_reset(tsd, block, found);
}
#define prof_free heap_prof_free
/* jemalloc's own fast path of free() looks at no group. */
#define te_free_fastpath_ctx(tsd, freed, threshold)            \
	__extension__({                                        \
		(te_free_fastpath_ctx)(tsd, freed, threshold); \
		if (heap_has_groups_now())                     \
			*(threshold) = 0;                      \
	})
#endif

#endif
