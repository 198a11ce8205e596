/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.high of a group: mem_cgroup_handle_over_high() of mm/memcontrol.c. Where a thread has
 * taken pages above it, that very thread reclaims in the group, and waits a little if that does not
 * help: the more, the further above the group is. It never gets NULL for it.
 */
#ifndef OOM_HIGH_H
#define OOM_HIGH_H

#include "limits/group.h"

/* How long a thread waits at most, where it has just been served: it may hold locks of the
   program's. */
#define HIGH_WAIT_MS_MAX 100

/* For so many bytes taken, in a group with that much charged. No state. */
uint64_t high_penalty_ms(size_t charged, size_t high, size_t bytes);

/* For what this thread has charged. With none of the heap's locks held. */
void high_reclaim(void);

/* On the slow paths of malloc. */
static inline void high_reclaim_if_due(void)
{
	if (unlikely(group_over_high > 0))
		high_reclaim();
}

#endif
