/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens between the heap's NULL and the program's: __alloc_pages_slowpath() and
 * out_of_memory(), rung by rung.
 */
#ifndef OOM_LADDER_H
#define OOM_LADDER_H

#include "reclaim/control.h"

/* What to do next. Each of those between FAIL and ABORT is followed by one more attempt. */
enum ladder_step {
	LADDER_FAIL,        /* NULL and ENOMEM */
	LADDER_OWN_RECLAIM, /* rung 3 */
	LADDER_RESERVE,     /* rungs 2 and 10 */
	LADDER_RECLAIM,     /* rungs 5 and 6 */
	LADDER_DRAIN,       /* rung 7 */
	LADDER_POLICY,      /* rungs 9 to 15 */
	LADDER_WAIT,        /* rung 16 */
	LADDER_ABORT        /* rung 16, when nothing can ever come */
};

/* The choice of the next rung. Of the facts in `control` alone: no I/O, no state. */
enum ladder_step ladder_next(const struct oom_control *control);

/* Rung 8: may anything harsher than reclaim follow? If not the report says why: NULL if so. */
bool oom_kill_allowed(const struct oom_control *control);
const char *ladder_kill_refusal(const struct oom_control *control);

/* Takes down the facts of a request that the heap has just refused. */
void ladder_begin(struct oom_control *control, const struct heap_request *request);

/* Climbs on until there is memory, or nothing more to try. NULL, with errno ENOMEM; on success errno
   is what it was. With is_policy_deferred it stops short of rung 8: set that to false and run on. */
void *ladder_run(struct oom_control *control);

/* Begin and run: what malloc and all of its kind do. */
void *ladder_climb(const struct heap_request *request);

#endif
