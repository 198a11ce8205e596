/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The block check of liboomreclaim-debug.so (docs/debugging.md): what the program does to its
 * blocks that it may not. In place of the heap's functions the entries call these.
 *
 * A block has its address from jemalloc, and as many bytes as were asked for. Behind these are
 * guard bytes to the end of what jemalloc gave, and there a tail: the size, and whether the block
 * is in use. What is freed is filled, waits in the quarantine, and is looked at again before
 * jemalloc has it back.
 *
 * With block_check:false all of them are the heap's functions and nothing more.
 */
#ifndef OOM_BLOCKS_H
#define OOM_BLOCKS_H

#include "base/base.h"

#ifdef OOM_DEBUG
/* ---- In place of malloc() and its kind; none descends the ladder (blocks_calls.c) ---- */

void *blocks_malloc(size_t size);
void *blocks_calloc(size_t count, size_t size);
void *blocks_realloc(void *old, size_t size);
void *blocks_memalign(size_t alignment, size_t size);
void *blocks_mallocx(size_t size, int flags);
void *blocks_rallocx(void *old, size_t size, int flags);
size_t blocks_xallocx(void *memory, size_t size, size_t extra, int flags);
size_t blocks_nallocx(size_t size, int flags);
size_t blocks_size(const void *memory);
void blocks_free(void *memory);
/* The program says the size; `flags` are jemalloc's. */
void blocks_free_sized(void *memory, size_t size);
void blocks_sdallocx(void *memory, size_t size, int flags);
void blocks_dallocx(void *memory, int flags);

/* Where the program is about to do with it what `what` says: it has to be a block in use. NULL is
   fine. */
void blocks_look_at(const void *memory, const char *what);

/* ---- The quarantine (quarantine.c) ---- */

/* Gives all of it to jemalloc: before the ladder tries again, and before somebody looks at
   counters. */
void blocks_drain(void);
/* What the calling thread freed and jemalloc does not know of; less what it gave back for
   others. */
int64_t blocks_kept_bytes(void);
/* At the end of the program: looks at all that waits. */
void blocks_stop(void);
#else
#define blocks_look_at(memory, what) ((void)0)
#define blocks_drain() ((void)0)
#define blocks_kept_bytes() 0
#define blocks_stop() ((void)0)
#endif

#endif
