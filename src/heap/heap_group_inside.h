/* SPDX-License-Identifier: BSD-2-Clause */
/* What heap_group.c, which has the arenas, and heap_group_cache.c, which has a thread's, share. */
#ifndef OOM_HEAP_GROUP_INSIDE_H
#define OOM_HEAP_GROUP_INSIDE_H

#include <stdatomic.h>

#include "heap/heap_fast.h"
#include "heap/heap_group.h"
#include "limits/group.h"

#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"

/* Of an arena that a destroyed group has left to a parent that is not the root: no cache takes its
   blocks. */
#define HEAP_GROUP_NO_CACHE 0xffffU

/* The group's arena; NULL for the root, and as long as the group has none. */
arena_t *heap_group_arena(unsigned slot);

/* The group gets one, that was used before if possible. False: there is none. */
bool heap_group_make_arena(unsigned slot);

/* How often the blocks of an arena were freed all at once: what a cache has from before is not
   there any more. */
unsigned heap_group_epoch(unsigned arena);

/* How many groups were destroyed: a thread that has caches looks whether theirs is one. */
unsigned heap_group_destroys(void);

/* Flushes the calling thread's caches of groups that are no more. With group_lock() held. */
void heap_group_sweep(void);

#endif
