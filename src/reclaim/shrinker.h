/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much each shrinker of a priority is asked for: the arithmetic of the kernel's
 * do_shrink_slab(), as functions of what has been counted. Nothing here calls, locks or waits.
 *
 * A pass counts all of them, and then asks each for a part in proportion to its size over its cost.
 * The parts of the first pass are together what is missing; later ones rise, and in the last one
 * all that was counted is asked for, whatever it costs. What a shrinker did not give of its part of
 * the first pass is due from it later; the kernel calls that deferred. What it gave beyond its
 * part, in place of others, is taken off its later parts.
 */
#ifndef OOM_SHRINKER_H
#define OOM_SHRINKER_H

#include "oomreclaim.h"

/* Passes are at pressure 0 to this: the parts rise by fours. */
#define SHRINK_PRESSURE_MAX 4
/* Asked for at least, where batch is 0. */
#define SHRINK_LEAST 4096
/* Halvings of the weight of one that claims and measures nothing. */
#define SHRINK_DOUBTS_MAX 4

/* What the registry keeps of a shrinker; only the walk that calls it changes it. */
struct shrinker {
	oomreclaim_callback *count; /* NULL: a plain callback */
	unsigned cost;              /* constant, as is batch */
	size_t batch;
	size_t counted_bytes; /* in this pass, and not asked for yet */
	int64_t due_bytes;    /* asked for and not given; below 0: given beyond its parts */
	uint64_t turn;        /* grows each time that a pass begins with it */
	unsigned doubts;
};

/* Bytes for a weight. */
struct shrink_rate {
	uint64_t bytes, weight;
};

struct shrink_pass {
	unsigned pressure;
	uint64_t weight;          /* of all together */
	struct shrink_rate ready; /* the lowest at which one of them is asked at all */
	struct shrink_rate rate;
	oomreclaim_handle first; /* the one that begins; 0: none has anything */
	uint64_t first_turn, latest_turn;
};

/* One has been counted. */
void shrink_pass_add(struct shrink_pass *pass, const struct shrinker *shrinker,
                     oomreclaim_handle handle);
/* All have been. */
void shrink_pass_aim(struct shrink_pass *pass, size_t missing_bytes);

/* Its part of the pass. */
size_t shrinker_share(const struct shrinker *shrinker, const struct shrink_pass *pass);
/* With what is due from before, but no more than it has. */
size_t shrinker_work(const struct shrinker *shrinker, const struct shrink_pass *pass, size_t share);
/* How much of that the next scan() is asked for; 0: so little that it is put off. */
size_t shrinker_ask(const struct shrinker *shrinker, size_t work, size_t missing_bytes);
/* What is due from now on. */
void shrinker_defer(struct shrinker *shrinker, const struct shrink_pass *pass, size_t share,
                    size_t given_bytes);
/* Is what it says true? */
void shrinker_judge(struct shrinker *shrinker, size_t claimed_bytes, size_t measured_bytes);

#endif
