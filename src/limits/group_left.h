/* SPDX-License-Identifier: BSD-2-Clause */
/* What the memory cgroups leave to this heap. No allocation; where a file is missing, as if there
   were no limit. */
#ifndef OOM_GROUP_LEFT_H
#define OOM_GROUP_LEFT_H

#include "system/proc_cgroup.h"

struct group_left {
	unsigned margin_percent; /* of each limit, that is not used */
	uint64_t left;           /* the most that may be charged */
	uint64_t max;            /* the lowest limit */
	bool is_group;           /* a group has lowered `left` */
};

/* Lowers left and max to the lowest of the own group and its ancestors. `group` is room to work
   in: there may be little stack. */
void group_left(struct proc_cgroup *group, struct group_left *now);

static inline uint64_t less_percent(uint64_t bytes, unsigned percent)
{
	return bytes / 100 * (100 - percent);
}

#endif
