/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Purgeable blocks: those that nobody has pinned are the library's to free, and the library is
 * their shrinker.
 *
 * A block lies in a list while it is not pinned, the one unpinned last at the end. There is a list
 * for each power of two of the cost. Which list's first block goes is decided as in GreedyDual
 * (Young 1994): a block is worth its cost, and on top of that what the block was worth that was
 * purged last before this one was unpinned. So one that costs twice as much stays twice as long,
 * and one that is never used goes in the end, whatever it costs. A step looks at the first block
 * of each list.
 *
 * The lock is held for the lists only, never over a call of the heap.
 */
#ifndef OOM_PURGEABLE_H
#define OOM_PURGEABLE_H

#include <stdbool.h>

#include "oomreclaim.h"

/* The highest: an unpinned block is what the program has said that it can do without. */
#define PURGEABLE_PRIORITY OOMRECLAIM_PRIORITY_PURGEABLE

/* For costs of 1, 2 and 3, 4 to 7 ... 512 to OOMRECLAIM_COST_MAX. */
#define PURGEABLE_LISTS 10

/* All members but the constant ones are guarded by the pool's lock. */
struct oomreclaim_purgeable {
	void *block;  /* NULL: purged */
	size_t bytes; /* constant, as is list */
	unsigned list;
	size_t pins;
	uint64_t worth; /* of one that is not pinned */
	struct oomreclaim_purgeable *next, *previous;
};

/* Registers the shrinker if there is none yet, in memory of registry_entry_bytes, which it takes
   over then: the handle, or 0. `release` frees blocks, and that memory; it is called with no lock
   held. */
oomreclaim_handle purgeable_enlist(void *memory, void (*release)(void *memory));
bool purgeable_is_enlisted(void);

/* Pinned once. */
void purgeable_init(struct oomreclaim_purgeable *purgeable, void *block, size_t bytes,
                    unsigned cost);
/* The block of one that is pinned, or NULL. */
void *purgeable_block(const struct oomreclaim_purgeable *purgeable);
/* NULL: it was purged. */
void *purgeable_pin(struct oomreclaim_purgeable *purgeable);
/* False: it is not pinned. */
bool purgeable_unpin(struct oomreclaim_purgeable *purgeable);
/* Parts with the block of one that is pinned once; NULL: it is not. */
void *purgeable_take(struct oomreclaim_purgeable *purgeable);
/* The same whoever has it pinned; NULL: it was purged. */
void *purgeable_drop(struct oomreclaim_purgeable *purgeable);

/* The shrinker. */
size_t purgeable_count(const struct oomreclaim_control *control, void *arg);
size_t purgeable_scan(const struct oomreclaim_control *control, void *arg);

struct purgeable_totals {
	uint64_t bytes;        /* not pinned, now */
	uint64_t purged_bytes; /* taken so far */
};
void purgeable_totals(struct purgeable_totals *totals);

void purgeable_fork_lock(void);
void purgeable_fork_unlock(void);

#endif
