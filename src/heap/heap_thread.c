/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread's first allocation when there is no memory. jemalloc then takes a cache for the thread
 * for granted, and dereferences NULL. It calls this function instead of its own (heap_glue.h): the
 * thread does without a cache until there is memory for one. (heap_arenas.c has the same for the
 * thread's arena.) What it asked for may still fail; that is the ladder's to see to.
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
