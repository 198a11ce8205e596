/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory set aside for threads that are about to give memory back, or about to die: the kernel's
 * ALLOC_NO_WATERMARKS. It is taken at start, since it can't be had when it is needed.
 *
 * For callbacks it is an arena of its own, to which their blocks return. Most programs have no
 * callback, and an arena costs each start, and each fork() of a program with threads, some 20 page
 * faults. So the arena is made when the first callback is registered. Before that the reserve is a
 * mapping that nobody touches. Where it is needed then, by a dying process, a scope or a signal's
 * handler in the middle of the ladder, the heap gets it as a free extent.
 */
#ifndef OOM_RESERVE_H
#define OOM_RESERVE_H

#include "heap/heap_ops.h"

/* Sets aside `bytes`; 0 turns the reserve off. 0 or -errno; without a reserve the ladder works,
   its callbacks just cannot count on allocating. */
int reserve_init(size_t bytes);

/* Somebody is about to register code that may allocate where memory is short: the arena is made,
   of a new mapping where the heap has got the first. Without the memory for that, or where an
   extent hook registers, all stays as it is until the next call. */
void reserve_want_arena(void);

/* A block from the reserve that ordinary free() gives back, or NULL: of a thread in a group, where
   there is no arena, always. Waits 5 milliseconds at most, for a thread that is making the arena or
   giving the mapping. */
void *reserve_alloc(const struct heap_request *request);

/* Bytes set aside: 0 once the heap has got the mapping. */
size_t reserve_bytes(void);

/* The thread that was making the arena, or giving the mapping, is in the parent. */
void reserve_fork_child(void);

#endif
