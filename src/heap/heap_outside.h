/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the library keeps for itself is the process's, whatever group the thread is in: that may end,
 * with all that is in it. So the thread is outside while it allocates that. It stays counted in its
 * group, which can't end meanwhile.
 */
#ifndef OOM_HEAP_OUTSIDE_H
#define OOM_HEAP_OUTSIDE_H

#include "limits/group_held.h"

struct heap_outside {
	unsigned was; /* the group; 0: the thread was in none, or can't leave it */
	struct group_held outer;
};

struct heap_outside heap_leave_group(void);
void heap_return_to_group(const struct heap_outside *outside);

/* In place of that, for a thread that leaves what it was about by a jump: to its group, and what it was
   counted for otherwise ends. */
void heap_abandon_outside(void);

#endif
