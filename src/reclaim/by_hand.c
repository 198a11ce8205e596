/* SPDX-License-Identifier: BSD-2-Clause */
/* Reclaim that the program asks for, without a failing request: of the heap, or of one group. */
#include <errno.h>

#include "base/base.h"
#include "config/options.h"
#include "heap/heap_ops.h"
#include "lockdep/watch.h"
#include "reclaim/descent.h"
#include "reclaim/reclaim.h"
#include "reclaim/scope.h"

static void give_back(unsigned slot, enum group_keeps keeps)
{
	if (slot != 0)
		heap_ops.group_evict(slot, SIZE_MAX, keeps);
	else
		heap_ops.purge(keeps);
}

size_t reclaim_group(unsigned slot, size_t bytes)
{
	struct reclaim_request request = {.wanted_bytes = bytes,
	                                  .in_group = slot,
	                                  .reason = OOMRECLAIM_REASON_MANUAL,
	                                  .constraint = "NONE"};
	struct reclaim_progress progress;
	struct descent descent;
	int saved = errno;

	if (bytes == 0 || descent_is_open() || (scope_current() & OOMRECLAIM_SCOPE_NORECLAIM) != 0)
		return 0;
	lockdep_might_reclaim();
	descent_begin(&descent);
	heap_ops.flush_thread();
	give_back(slot, GROUP_KEEPS_LOW);
	request.deadline_ns = now_ns() + options.wait_ms * NSEC_PER_MSEC;
	reclaim_round(&request, &progress);
	give_back(slot, progress.claimed_bytes > 0 ? GROUP_KEEPS_LOW : GROUP_KEEPS_MIN);
	descent_end(&descent);
	errno = saved;
	return progress.claimed_bytes;
}

OOM_EXPORT size_t oomreclaim_reclaim(size_t bytes)
{
	return reclaim_group(0, bytes);
}
