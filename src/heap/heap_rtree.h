/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jemalloc's tree of addresses, in front of each use of it. Where an element has all of a page in
 * one word, that word's top byte is free: jemalloc's size classes take eight bits of sixteen. A
 * slab has its mark there (heap_mark.c), and what jemalloc reads of an element must be without it:
 * so the size class that it reads is one of eight bits.
 */
#ifndef OOM_HEAP_RTREE_H
#define OOM_HEAP_RTREE_H

#include "jemalloc/internal/jemalloc_preamble.h"

/* What that header takes to be there, in jemalloc's own order. */
#include "jemalloc/internal/arena_types.h"
#include "jemalloc/internal/tcache_types.h"

#include "jemalloc/internal/prof_types.h"

#include "jemalloc/internal/prof_structs.h"

#include "jemalloc/internal/base.h"
#define szind_t uint8_t
#include "jemalloc/internal/rtree.h"
#undef szind_t

#if defined(RTREE_LEAF_COMPACT) && RTREE_HEIGHT == 2 && LG_VADDR == 48
#define HEAP_HAS_MARKS
#endif

#endif
