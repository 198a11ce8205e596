/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A heap for the tests of the core: it fails when a test says so, and writes down what it is asked.
 * Every test is a process of its own, so nothing has to be put back.
 *
 * The trace has a letter for each event, in order:
 *   a  an attempt to allocate        r  a block asked from the reserve
 *   g  the reserve given to the heap
 *   f  this thread's caches flushed  p  all arenas purged, or everything evicted
 *   m  free extents merged           b  borrowed         e  about what is needed evicted
 *   c  a total of what is evictable begun
 *   M  a block to be resized is moved, by the attempt that follows
 * and whatever a test adds by fake_heap_note().
 */
#ifndef FAKE_HEAP_H
#define FAKE_HEAP_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "heap/heap_ops.h"

/* What a successful attempt returns, and what the reserve does: not to be freed. */
extern char fake_heap_block[], fake_heap_reserve_block[];

/* The next attempts that fail. */
#define FAKE_HEAP_ALWAYS UINT_MAX
void fake_heap_fail(unsigned attempts);

void fake_heap_note(char event);
const char *fake_heap_trace(void);
/* How often an event is in the trace. */
unsigned fake_heap_count(char event);
void fake_heap_clear_trace(void);

/* The calling thread's counters, as if it had freed or allocated so much. */
void fake_heap_freed(size_t bytes);
void fake_heap_allocated(size_t bytes);

/* Makes a reserve of 64 KiB, an arena with so many blocks in it; that many more, when called
   again. */
void fake_heap_fill_reserve(unsigned blocks);

/* What the next call of reserve_map() returns, and what the last one was given; and what the next
   calls of reserve_make_arena() return, and how many there were. */
extern int fake_heap_reserve_error, fake_heap_arena_error;
extern atomic_uint fake_heap_arena_calls;
/* How long each takes; 0 when it is over. */
extern atomic_uint fake_heap_arena_pause_ms;
extern size_t fake_heap_reserve_bytes;

extern bool fake_heap_is_reentrant;
/* What own reclaim finds: whether this thread has a cache, merging helps, another arena has room,
   how often a part can be evicted, and whether there is anything at all. Where not, there is no
   letter in the trace. */
extern bool fake_heap_merges, fake_heap_lends, fake_heap_has_dirty, fake_heap_has_cached,
	fake_heap_has_lists;
extern unsigned fake_heap_evictions;
/* Of the attempts, those of which the ladder said that nothing was given back before. */
extern unsigned fake_heap_again;
/* What the last eviction was asked for beyond the request. */
extern size_t fake_heap_evict_bytes;
/* What there is to evict, as the ladder is told. */
extern atomic_size_t fake_heap_evictable;

/* NULL: none are kept. */
extern const struct heap_stats *fake_heap_stats;
/* The slots of the group that all threads are in, and of the one that refuses; and how often one
   has something to give back, which leaves a g. */
extern unsigned fake_heap_group, fake_heap_group_refuser, fake_heap_group_evictions;
extern void (*fake_heap_on_group_evict)(void);
/* What it was told to keep, the last time that it was to give something back. */
extern atomic_int fake_heap_keeps; /* enum group_keeps */
/* Which limit of the budget refuses, as the ladder is told. */
extern enum constraint fake_heap_budget_refuser;

#endif
