/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the heap does for a request by itself, before the callbacks and again behind them, in steps,
 * cheapest first, as the kernel compacts before it reclaims and reclaims no more than is needed.
 */
#ifndef OOM_OWN_RECLAIM_H
#define OOM_OWN_RECLAIM_H

#include <stdbool.h>

#include "limits/group.h"
#include "reclaim/control.h"

/* The steps, in their order. After each that may have helped there is one more attempt. */
enum own_step {
	OWN_FLUSH,   /* this thread's cache goes back to the arenas */
	OWN_COMPACT, /* free extents are merged where they lie */
	OWN_BORROW,  /* the request is served by another arena */
	OWN_EVICT, /* about what is needed is given back to the system; doubling, while it fails */
	OWN_EVICT_ALL, /* everything is */
	OWN_STEPS
};

/* Begins at a step. */
void own_reclaim_begin(struct oom_control *control, enum own_step from);

/* Takes the next step that has something to do. Returns memory where the step itself found some.
   False in *is_progress: there is none left, and another attempt would be in vain. */
void *own_reclaim_step(struct oom_control *control, bool *is_progress);

/* After each round of callbacks: whether something came back to the heap. */
void own_reclaim_note_round(bool has_given);

/* Which protection of groups is in force, as far as this request has come. */
enum group_keeps own_reclaim_keeps(const struct oom_control *control);

/* "flush" and so on. */
const char *own_reclaim_name(enum own_step step);

#endif
