/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose cache a small block may go to, in a byte: each page of a slab has it in jemalloc's tree of
 * addresses, where free() reads the size class, and each thread has it in its records. They are one
 * byte, or free() leaves its fast path.
 */
#ifndef OOM_HEAP_MARK_H
#define OOM_HEAP_MARK_H

#include "heap/heap_rtree.h"

/* Of what is no slab, and of a group for which there was no mark left. */
#define HEAP_MARK_NONE 0
#define HEAP_MARK_ROOT 1
/* Of a thread in such a group: of no slab. */
#define HEAP_MARK_NOBODY 255

#define HEAP_MARK_SHIFT 56

/* A thread's own stands where jemalloc has records of the locks it holds, in debug builds alone.
   heap_glue.h has its first value. */
#define HEAP_MARK_OFFSET \
	(offsetof(tsd_t, TSD_MANGLE(witness_tsd)) + offsetof(witness_tsd_t, witnesses.qlh_first))

/* With group_lock() held, before there is a slab in this arena: from now on it is one of a group,
   for good, and has a mark of its own as long as there are some. */
void heap_mark_arena(unsigned arena);

/* The calling thread is in the group that has this arena. */
void heap_mark_enter(tsd_t *tsd, unsigned arena);
/* The calling thread is in no group. */
void heap_mark_leave(tsd_t *tsd);

#endif
