/* SPDX-License-Identifier: BSD-2-Clause */
#include "reclaim/descent.h"

#include <pthread.h>

#include "base/base.h"
#include "limits/group.h"
#include "reclaim/outside.h"

/* Per thread: a descent belongs to a call chain. */
static OOM_TLS unsigned depth;
/* What it was before the outermost beginning. */
static OOM_TLS int outer_cancel_state;

bool descent_is_open(void)
{
	return depth > 0;
}

void descent_begin(struct descent *descent)
{
	/* A waiter that is cancelled would leave with a lock held or a round unfinished. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &descent->cancel_state);
	if (depth++ == 0)
		outer_cancel_state = descent->cancel_state;
}

void descent_end(const struct descent *descent)
{
	/* Not where it was abandoned, by a jump to another stack that came back. */
	if (depth > 0)
		depth--;
	pthread_setcancelstate(descent->cancel_state, NULL);
}

void descent_abandon(void)
{
	depth = 0;
	outside_abandon();
	group_spare(false);
	pthread_setcancelstate(outer_cancel_state, NULL);
}
