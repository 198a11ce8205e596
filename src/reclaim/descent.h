/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether the calling thread descends the ladder already. The kernel's PF_MEMALLOC: what a thread
 * allocates there never starts a second descent.
 */
#ifndef OOM_DESCENT_H
#define OOM_DESCENT_H

#include <stdbool.h>

struct descent {
	int cancel_state; /* what it was before */
};

bool descent_is_open(void);

/* Marks the thread, and holds cancellation off until the matching end. Descents nest. */
void descent_begin(struct descent *descent);
void descent_end(const struct descent *descent);

/* In place of all the ends that are due, for a thread that leaves in another way (guard.h). */
void descent_abandon(void);

#endif
