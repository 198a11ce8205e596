/* SPDX-License-Identifier: BSD-2-Clause */
#include "reclaim/scope.h"

#include <pthread.h>

/* Per thread, because a scope belongs to a call chain, as the kernel's task flags do. */
static OOM_TLS unsigned flags;
static OOM_TLS unsigned depth;

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
	depth++;
}

void scope_leave_ladder(const struct scope_ladder *enter)
{
	depth--;
	pthread_setcancelstate(enter->cancel_state, NULL);
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
