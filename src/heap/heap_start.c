/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What jemalloc does at its start or for each arena, and most programs never need: it is done when
 * it is needed, or not at all. Each page that is not touched is a page fault less, in every process
 * that starts. heap_glue.h leads here.
 */
#include "base/assert.h"
#include "base/base.h"
#include "heap/heap_fast.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"
#include "jemalloc/internal/ctl.h"

/*
 * jemalloc writes zeroes into the two hundred lists of each of an arena's six sets of extents: 15
 * pages. An arena's records are zeroes before that, and jemalloc relies on it: it sets the number
 * of pages in a set nowhere. The state is for assertions alone.
 */
void heap_eset_init(eset_t *eset, extent_state_t state)
{
	if (config_debug)
		eset->state = state;
}

/*
 * The control interface sets itself up at its first use, with statistics of all arenas. Most
 * processes never use it. Its memory is put aside at the start, since the first use may come when
 * there is no memory left, but it is not touched. jemalloc's lock of the control interface guards
 * this record.
 */
static struct {
	uintptr_t next, end;
	bool is_in_use; /* the interface has begun to set itself up */
} control;

void *heap_ctl_alloc(tsdn_t *tsdn, base_t *base, size_t bytes, size_t alignment)
{
	uintptr_t at = ALIGNMENT_CEILING(control.next, alignment);

	control.is_in_use = true;
	if (control.next == 0 || at > control.end || bytes > control.end - at)
		return base_alloc(tsdn, base, bytes, alignment);
	control.next = at + bytes;
	return (void *)at;
}

/* What the interface takes: a record for each arena, one for all, one for those destroyed. */
static size_t control_bytes(unsigned arenas)
{
	return sizeof(ctl_arenas_t) + sizeof(ctl_stats_t) + 2 * CACHELINE +
	       (arenas + 2) * (sizeof(ctl_arena_t) + sizeof(ctl_arena_stats_t) + 2 * CACHELINE);
}

void heap_control_prepare(void)
{
	tsdn_t *tsdn = tsdn_fetch();
	size_t bytes = control_bytes(narenas_total_get() + 1);

	/* Takes the lock of the control interface; it has no other name here. */
	ctl_prefork(tsdn);
	if (!control.is_in_use && control.next == 0) {
		control.next = (uintptr_t)base_alloc(tsdn, b0get(), bytes, CACHELINE);
		control.end = control.next + bytes;
	}
	ctl_postfork_parent(tsdn);
}

int heap_arena_create(const arena_config_t *config, unsigned *arena)
{
	tsdn_t *tsdn = tsdn_fetch();
	size_t length = sizeof *arena;
	bool is_in_use, has_failed = false;

	/* Neither the reserve nor a group is there before. */
	oom_assert(malloc_initialized());
	ctl_prefork(tsdn);
	is_in_use = control.is_in_use;
	if (!is_in_use) {
		/* The interface finds the arena when it sets itself up. One that could not be made
		   here has left its number. */
		*arena = manual_arena_base;
		while (*arena < narenas_total_get() && arena_get(tsdn, *arena, false) != NULL)
			++*arena;
		has_failed = arena_init(tsdn, *arena, config) == NULL;
	}
	ctl_postfork_parent(tsdn);
	if (is_in_use)
		return je_mallctl("experimental.arenas_create_ext", arena, &length, (void *)config,
		                  sizeof *config);
	return has_failed ? EAGAIN : 0;
}

/* Where each processor has an arena, jemalloc takes it that a thread which comes to another one can
   have that, and else dereferences NULL: they are there before memory is short, or none is
   needed. */
void heap_processors_prepare(void)
{
	tsdn_t *tsdn = tsdn_fetch();

	if (!have_percpu_arena || !PERCPU_ARENA_ENABLED(opt_percpu_arena))
		return;
	for (unsigned i = 0; i < percpu_arena_ind_limit(opt_percpu_arena); i++)
		if (arena_get(tsdn, i, true) == NULL) {
			opt_percpu_arena = percpu_arena_disabled;
			return;
		}
}
