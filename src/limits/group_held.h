/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For a moment a thread may be counted in a group without being inside: the group has to be there
 * when the thread goes back, or when a new thread begins in the group. Each thread knows where it
 * is counted so: it may fork meanwhile, or leave for good, by longjmp(), an exception, or its end.
 */
#ifndef OOM_GROUP_HELD_H
#define OOM_GROUP_HELD_H

#include "base/base.h"

struct group_held {
	unsigned aside;      /* the group that the thread is out of for a moment; 0: none */
	unsigned *beginning; /* the group of a new thread, in its record; NULL or 0: none */
};
extern OOM_TLS struct group_held group_held;

/* How often the calling thread is counted in the group for that. */
unsigned group_held_in(unsigned slot);

/* The calling thread is counted so in no group any more; *beginning is 0. */
void group_held_release(void);

#endif
