/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much of an arena's large free extents stays, as it would be wanted again at once: the
 * kernel's refaults (mm/workingset.c), one level down. Arithmetic alone: heap_keep.c has the arena.
 */
#ifndef OOM_KEEP_H
#define OOM_KEEP_H

#include <stddef.h>
#include <stdint.h>

/* What was given back so long ago is no longer missed; and what nobody had a use for meanwhile is
   kept too long. */
#define KEEP_EPOCH_MS 1000

/* Bytes, but for at_ms. */
struct keep {
	size_t kept;      /* so much may stay, as far as keep_allowed() says */
	size_t unclaimed; /* given back lately, and not wanted again since */
	size_t peak;      /* the most in use lately */
	size_t low;       /* the least that was free since at_ms: nobody had a use for that */
	size_t high;      /* the most: beyond that nothing is kept anyway */
	uint64_t at_ms;
};

/* Before each of the others: time has passed, and so much is in use and free by now. What is
   learned is forgotten again in some seconds. */
void keep_age(struct keep *keep, uint64_t now_ms, size_t in_use, size_t free_bytes);

/* Pages were given back; new ones are taken. */
void keep_gave(struct keep *keep, size_t bytes);
void keep_took(struct keep *keep, size_t bytes);

/* How much may stay with so much in use, of this so much in huge blocks, and so much free that goes
   in its own time. */
size_t keep_allowed(const struct keep *keep, size_t in_use, size_t huge, size_t other);

#endif
