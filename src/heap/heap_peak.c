/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What thread.peak.read reads is brought up to date by an event of jemalloc's, each 64 KiB that a
 * thread allocates or frees, for which malloc() and free() leave their fast path. Hardly a program
 * reads that. So the event comes as seldom as the look through the thread's cache, and together
 * with that look, until one of thread.peak.read and thread.peak.reset is first called.
 */
#include <stdatomic.h>

#include "base/base.h"
#include "heap/heap_fast.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"

/* jemalloc's own. */
#define WATCHED_WAIT ((uint64_t)64 << 10)

/* Some thread has asked for a peak. Never taken back. Relaxed: another thread sees it at its next
   event. */
static atomic_bool is_watched;

/* A program's activity callback (experimental.thread.activity_callback) is called by this event. */
uint64_t heap_peak_wait(tsd_t *tsd)
{
	if (atomic_load_explicit(&is_watched, memory_order_relaxed) ||
	    tsd_activity_callback_thunk_get(tsd).callback != NULL ||
	    opt_tcache_gc_incr_bytes < WATCHED_WAIT)
		return WATCHED_WAIT;
	return opt_tcache_gc_incr_bytes;
}

/* The event is so many bytes away at most. Waits count from the last event. */
static void bring_near(tsd_t *tsd, bool is_alloc, uint64_t *event_wait)
{
	uint64_t since, next;
	te_ctx_t events;

	te_ctx_get(tsd, &events, is_alloc);
	since = te_ctx_current_bytes_get(&events) - te_ctx_last_event_get(&events);
	if (*event_wait <= since + WATCHED_WAIT)
		return;
	*event_wait = since + WATCHED_WAIT;
	next = te_ctx_last_event_get(&events) + *event_wait;
	if (next < te_ctx_next_event_get(&events))
		te_ctx_next_event_set(tsd, &events, next);
}

static void watch(tsd_t *tsd)
{
	atomic_store_explicit(&is_watched, true, memory_order_relaxed);
	bring_near(tsd, true, tsd_peak_alloc_event_waitp_get(tsd));
	bring_near(tsd, false, tsd_peak_dalloc_event_waitp_get(tsd));
}

void heap_peak_event_update(tsd_t *tsd)
{
	watch(tsd);
	peak_event_update(tsd);
}

void heap_peak_event_zero(tsd_t *tsd)
{
	watch(tsd);
	peak_event_zero(tsd);
}
