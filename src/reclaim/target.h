/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How large each cache should be: arithmetic without a walk, as shrinker.h.
 *
 * Each cache has a share of what the caches have together. What a cache misses and would have hit,
 * were it an eighth larger, times what it costs to get a byte back, over that eighth, is what a
 * byte more would save there. Shares move to where that is above the mean of all, in steps that are
 * in proportion to how far it is: so they stand still where a byte saves as much everywhere. A step
 * is made once there is enough regret to tell something by, so that chance moves nothing.
 */
#ifndef OOM_TARGET_H
#define OOM_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oomreclaim.h"

/* The part of its target by which a cache that was larger would have hit: a contract with the
   program, which says what it regrets. */
#define TARGET_REGRET_PART OOMRECLAIM_REGRET_PART

/* What the registry keeps of a cache, guarded by its lock. */
struct target {
	bool is_used;          /* somebody has asked for it, or reported regret */
	size_t size_bytes;     /* as counted last */
	uint64_t counted_in;   /* the round in which that was; 0: not since is_used */
	size_t heap_bytes;     /* what the heap had in use then */
	uint64_t regret_bytes; /* since the last step */
	uint64_t rate;         /* of regret in a step, smoothed, in sixteenths of a byte */
	uint64_t share;        /* 0: none yet */
	size_t bytes;          /* the target */
};

/* All caches together. */
struct target_pass {
	unsigned caches;
	size_t pool_bytes; /* for all of them */
	uint64_t regret_bytes;
	uint64_t shares;
	uint64_t costs; /* times the shares */
	uint64_t rates; /* times their costs */
};

/* First of all, each. */
void target_add(struct target_pass *pass, struct target *target, unsigned cost);

/* Then each of the others, which have no target: what can be had of it counts as left. As in a
   round, the cheaper it is the more of it, and all of it where its cost is 0: it is asked first. */
void target_beside(struct target_pass *pass, size_t bytes, unsigned cost);

/* headroom_bytes: beyond what they have; excess_bytes: that they have beyond what they may. True if
   it is time for a step. */
bool target_aim(struct target_pass *pass, size_t headroom_bytes, size_t excess_bytes);

/* Where it is: each of these for all, in this order. */
void target_take(struct target_pass *pass, struct target *target, unsigned cost);
void target_move(const struct target_pass *pass, struct target *target, unsigned cost);

/* And in the end, with a pass that has the shares of all. SIZE_MAX: there is no limit. */
void target_set(const struct target_pass *pass, struct target *target);

#endif
