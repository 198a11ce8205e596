/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread's cache: when the thread gets one.
 *
 * A thread's first allocation when there is no memory: jemalloc then takes a cache for the thread
 * for granted, and dereferences NULL. It calls heap_tcache_init() instead of its own (heap_glue.h):
 * the thread does without a cache until there is memory for one. (heap_arenas.c has the same for
 * the thread's arena.) The request may still fail, which is left to the ladder.
 *
 * A thread that frees and never allocates: jemalloc gives it no cache, so each block goes back
 * under the lock of its bin, which the threads that allocate wait for. Here it gets a cache when it
 * has freed FREES_PER_CACHE blocks.
 */
#include <pthread.h>
#include <signal.h>

#include "heap/heap_fast.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "base/base.h"
#include "heap/heap_glue.h"
#include "limits/fault.h"

/* What is set up behind a thread's last destructor is never taken down, and jemalloc's list of
   threads then leads to memory that is no more. So a thread that is about to end has to be told
   from others: see is_ending(). It can't be told in the last of the rounds in which pthread keys
   are destroyed, where a malloc() has the same end; so many blocks are hardly freed there by a
   thread that has not called the heap before. */
#define FREES_PER_CACHE 1024

/* Asked for by the thread itself alone. */
static OOM_TLS bool has_no_tcache;

/* Blocks that the thread has freed before its records were set up. Touched by the thread alone. */
static OOM_TLS unsigned frees;

static void check_tcache(tsd_t *tsd)
{
	has_no_tcache = opt_tcache &&
	                cache_bin_still_zero_initialized(&tsd_tcachep_get_unsafe(tsd)->bins[0]);
	if (!has_no_tcache)
		return;
	/* As if the program had turned it off, which takes the thread off the fast path too. */
	tsd_tcache_enabled_set(tsd, false);
	tsd_slow_update(tsd);
}

bool heap_tcache_init(tsd_t *tsd)
{
	bool has_failed = tsd_tcache_enabled_data_init(tsd);

	check_tcache(tsd);
	return has_failed;
}

void heap_tcache_retry(void)
{
	tsd_t *tsd;

	if (likely(!has_no_tcache))
		return;
	tsd = tsd_fetch();
	/* Turned on by the program meanwhile, perhaps. */
	if (!tsd_tcache_enabled_get(tsd))
		tcache_enabled_set(tsd, true);
	check_tcache(tsd);
}

/* ---- A thread that frees and never allocates ---- */

/* Its records are not set up. Not inside of the heap, as a program's extent hooks are: jemalloc
   counts such a thread as inside once. */
static bool has_only_freed(tsd_t *tsd)
{
	return tsd_state_get(tsd) == tsd_state_minimal_initialized &&
	       tsd_reentrancy_level_get(tsd) == 1;
}

/* glibc blocks the signal of pthread_cancel(), which no program can block, before it takes a thread
   apart. Behind that a detached thread frees what belongs to the stacks of others, hundreds at a
   time. */
static OOM_NOINLINE bool is_ending(void)
{
	sigset_t blocked;

	return pthread_sigmask(SIG_BLOCK, NULL, &blocked) != 0 ||
	       sigismember(&blocked, __SIGRTMIN) != 0;
}

/* MALLOC_CONF's percpu_arena may make an arena wherever the thread is just now. And an injected
   fault is not for this memory. */
static bool may_have_cache(void)
{
	return !PERCPU_ARENA_ENABLED(opt_percpu_arena) && !fault_is_armed(&fault_page) &&
	       !is_ending();
}

/* `is_minimal`: the call is to free a block, and does without the thread's records. */
tsd_t *heap_tsd_fetch_slow(tsd_t *tsd, bool is_minimal)
{
	if (!is_minimal || !has_only_freed(tsd) || ++frees % FREES_PER_CACHE != 0 ||
	    !may_have_cache())
		return tsd_fetch_slow(tsd, is_minimal);
	/* glibc may be freeing under the lock that pthread_create() and pthread_join() take. */
	heap_arenas_make_none(true);
	tsd = tsd_fetch_slow(tsd, false);
	heap_arenas_make_none(false);
	return tsd;
}
