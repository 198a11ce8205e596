/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim_set_limit(): a limit below what is charged has to reclaim. */
#include "base/base.h"
#include "heap/heap_ops.h"
#include "limits/budget.h"
#include "oomreclaim.h"
#include "reclaim/control.h"
#include "reclaim/descent.h"

OOM_EXPORT size_t oomreclaim_set_limit(size_t bytes)
{
	unsigned futile = 0;
	size_t now;

	budget_set_limit(bytes);
	/* Until it fits, or there is nothing left to give, whatever the callbacks say. */
	while ((now = budget_charged()) > bytes && futile < MAX_RECLAIM_RETRIES) {
		if (oomreclaim_reclaim(now - bytes) == 0)
			break;
		futile = budget_charged() < now ? 0 : futile + 1;
	}
	/* What is low as well, where what callbacks claim has not come. Inside of one nothing was
	   reclaimed, and nothing is. */
	if (budget_charged() > bytes && !descent_is_open())
		heap_ops.purge(GROUP_KEEPS_MIN);
	now = budget_charged();
	return now > bytes ? now - bytes : 0;
}
