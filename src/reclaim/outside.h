/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the library keeps for itself is the process's, whatever group the thread is in: the group
 * may end, with all that is in it. So the thread is outside while it allocates for the library. It
 * stays counted in its group, so that the group can't end meanwhile.
 */
#ifndef OOM_OUTSIDE_H
#define OOM_OUTSIDE_H

#include "limits/group_held.h"

struct outside {
	unsigned was; /* the group; 0: the thread was in none, or can't leave it */
	struct group_held outer;
};

struct outside outside_begin(void);
void outside_end(const struct outside *outside);

/* In place of outside_end(), for a thread on its way out of all this by a jump: it goes back to its
   group, and is counted nowhere else. */
void outside_abandon(void);

#endif
