/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Groups that a thread is counted in although it is not inside: so that they are there when it goes
 * back, or when the thread begins that it makes. Known for each thread, as it may fork meanwhile, or
 * leave for good: by longjmp(), an exception, or its end.
 */
#ifndef OOM_GROUP_HELD_H
#define OOM_GROUP_HELD_H

#include "base/base.h"

struct group_held {
	unsigned aside;      /* the group that the thread is out of for a moment; 0: none */
	unsigned *beginning; /* that of the thread that it makes; NULL or 0: none */
};
extern OOM_TLS struct group_held group_held;

/* How often the calling thread is counted in the group for that. */
unsigned group_held_in(unsigned slot);

/* It is no longer. What it knew the group of the new thread by says 0. */
void group_held_release(void);

#endif
