/* SPDX-License-Identifier: BSD-2-Clause */
/* What the calling thread asked of the ladder, and whether it is inside it already. */
#ifndef OOM_SCOPE_H
#define OOM_SCOPE_H

#include "base/base.h"
#include "oomreclaim.h"

#define SCOPE_ALL                                                                              \
	(OOMRECLAIM_SCOPE_NORETRY | OOMRECLAIM_SCOPE_RETRY_MAYFAIL | OOMRECLAIM_SCOPE_NOFAIL | \
	 OOMRECLAIM_SCOPE_NORECLAIM | OOMRECLAIM_SCOPE_RESERVE)

/* The calling thread's flags. */
unsigned scope_current(void);

/* Sets them, and returns what they were. */
unsigned scope_exchange(unsigned to);

/* The kernel's PF_MEMALLOC: set while the thread descends the ladder, so that what it allocates there
   never starts a second descent. */
bool scope_is_in_ladder(void);

/* Marks the thread and holds cancellation off until the matching leave. */
struct scope_ladder {
	int cancel_state;
};
void scope_enter_ladder(struct scope_ladder *enter);
void scope_leave_ladder(const struct scope_ladder *enter);
/* Instead of all the leaves that are due, for a thread on its way out (guard.h). */
void scope_abandon_ladder(void);

#endif
