/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread's first allocation when there is no memory. jemalloc then takes two results for granted,
 * an arena and a cache for the thread, and dereferences NULL. It calls these two functions instead
 * of its own (heap_glue.h): the thread gets the first arena, which always exists, and does without
 * a cache until there is memory for one. What it asked for may still fail; that is the ladder's to
 * see to.
 */
#include "heap/heap_fast.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "base/base.h"
#include "heap/heap_glue.h"

/* Asked for by the thread itself alone. */
static OOM_TLS bool has_no_tcache;

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

arena_t *heap_arena_choose_hard(tsd_t *tsd, bool internal)
{
	arena_t *arena = arena_choose_hard(tsd, internal);

	if (likely(arena != NULL))
		return arena;
	arena = arena_get(tsd_tsdn(tsd), 0, false);
	if (tsd_arena_get(tsd) == NULL) {
		arena_nthreads_inc(arena, false);
		tsd_arena_set(tsd, arena);
		/* Not set yet, it is an index behind the last. */
		memset(tsd_binshardsp_get(tsd), 0, sizeof *tsd_binshardsp_get(tsd));
	}
	if (tsd_iarena_get(tsd) == NULL) {
		arena_nthreads_inc(arena, true);
		tsd_iarena_set(tsd, arena);
	}
	return internal ? tsd_iarena_get(tsd) : tsd_arena_get(tsd);
}
