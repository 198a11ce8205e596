/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Groups in the heap: each has an arena, and a thread has a cache for each group that it was in
 * lately, so that no block of one group is handed out in another. limits/group.h has the tree.
 *
 * A block knows its arena, and the arena its group. What free() puts into the thread's cache
 * without that knowledge it knows by its mark (heap_mark.h).
 */
#ifndef OOM_HEAP_GROUP_H
#define OOM_HEAP_GROUP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/base.h"
#include "limits/group.h"

/* Groups can't be told apart in what jemalloc's hpa maps. */
bool heap_group_can_be(void);

/* With group_lock() held, and no thread inside: its arenas are the parent's, with all that is in
   them, or, frees, with nothing. Before group_remove(). */
void heap_group_destroy(unsigned slot, bool frees);

/* The calling thread's arena and cache are the group's; slot 0: its own. False where that can't be:
   inside of the heap, at the thread's end, or where the group has no arena yet and gets none. Not
   with group_lock() held, and with the group held by group_try_enter(). */
bool heap_group_enter(unsigned slot);

/* The same for slot 0, and back to the group that the thread was in: nothing is made for it. */
bool heap_group_switch(unsigned slot);

/* The slot of the group that the thread is in. The variable is for what has no time for a call. */
extern OOM_TLS unsigned heap_own_group;
unsigned heap_group_current(void);
/* The group that a block is of. */
oomreclaim_group heap_group_of(const void *block);

/* Bytes in blocks of the group's own arenas, those in threads' caches included. */
size_t heap_group_allocated(unsigned slot);

/* Gives back what is free in the group and its descendants, until that is so much, but for what is
   protected. Returns how much it was. */
size_t heap_group_evict(unsigned slot, size_t bytes, enum group_keeps keeps);

/* The dirty and muzzy pages of all arenas, but for those. */
void heap_purge(enum group_keeps keeps);

#endif
