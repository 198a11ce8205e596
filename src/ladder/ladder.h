/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens between the heap's NULL and the program's: __alloc_pages_slowpath() and
 * out_of_memory(), rung by rung.
 */
#ifndef OOM_LADDER_H
#define OOM_LADDER_H

#include "ladder/next_rung.h"
#include "reclaim/control.h"

/* Takes down the facts of a request that the heap has just refused. */
void ladder_begin(struct oom_control *control, const struct heap_request *request);

/* Goes from rung to rung until there is memory, or nothing more to try. NULL, with errno ENOMEM; on
   success errno is what it was. `until`: stops short of that rung and of those behind it, for a
   caller that has something of its own to try first, and runs on afterwards; RUNGS: none. */
void *ladder_run(struct oom_control *control, enum rung until);

/* Begin and run: what malloc and all of its kind do. */
void *ladder_descend(const struct heap_request *request);

#endif
