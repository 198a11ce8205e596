/* SPDX-License-Identifier: BSD-2-Clause */
#include "reclaim/scope.h"

#include <pthread.h>

/* Per thread, because a scope belongs to a call chain, as the kernel's task flags do. */
static OOM_TLS unsigned flags;
static OOM_TLS unsigned depth;
/* What it was before the outermost enter. */
static OOM_TLS int outer_cancel_state;

unsigned scope_current(void)
{
	return flags;
}

unsigned scope_exchange(unsigned to)
{
	unsigned old = flags;

	flags = to;
	return old;
}

bool scope_is_in_ladder(void)
{
	return depth > 0;
}

void scope_enter_ladder(struct scope_ladder *enter)
{
	/* A waiter that is cancelled would leave with a lock held or a round unfinished. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &enter->cancel_state);
	if (depth++ == 0)
		outer_cancel_state = enter->cancel_state;
}

void scope_leave_ladder(const struct scope_ladder *enter)
{
	/* Not where it was abandoned, by a jump to another stack that came back. */
	if (depth > 0)
		depth--;
	pthread_setcancelstate(enter->cancel_state, NULL);
}

void scope_abandon_ladder(void)
{
	depth = 0;
	pthread_setcancelstate(outer_cancel_state, NULL);
}

OOM_EXPORT unsigned oomreclaim_scope_save(unsigned added)
{
	unsigned old = flags;

	flags |= added & SCOPE_ALL;
	return old;
}

OOM_EXPORT void oomreclaim_scope_restore(unsigned old)
{
	flags = old & SCOPE_ALL;
}
