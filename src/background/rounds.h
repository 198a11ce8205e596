/* SPDX-License-Identifier: BSD-2-Clause */
/* Rounds of callbacks on oomreclaimd, one after the other for one purpose. */
#ifndef OOM_BACKGROUND_ROUNDS_H
#define OOM_BACKGROUND_ROUNDS_H

#include <stdbool.h>
#include <stddef.h>

#include "limits/group.h"
#include "oomreclaim.h"

struct rounds {
	enum oomreclaim_reason reason;
	const char *constraint; /* NULL: none */
	oomreclaim_handle only; /* the callback that is asked; 0: all */
	unsigned made;
	unsigned unmeasured;  /* in a row, of which nothing measurable has come back */
	size_t claimed_bytes; /* in all of them */
};

/* One more. False when there is nothing left to give, or nothing measurable has come back for too
   long. */
bool rounds_make(struct rounds *rounds, size_t wanted_bytes);

/* What is free goes back to the system: before a round that was not needed then, and behind one,
   before anybody here takes it again. Returns what is left of it, as groups keep that. */
size_t rounds_give_back(enum group_keeps keeps);

/* How far above the low watermark, what is free in the heap not counted, but for what groups
   keep. */
size_t rounds_excess(size_t kept);

#endif
