/* SPDX-License-Identifier: BSD-2-Clause */
#include "limits/group_left.h"

#include "base/base.h"
#include "limits/budget.h"
#include "system/proc.h"

/* What of the group's usage is not this heap's: other processes, and our own stacks, libraries and
   kernel memory. */
static OOM_NOINLINE uint64_t usage_of_others(const struct proc_cgroup *group)
{
	uint64_t usage, ours = budget_charged();
	struct proc_statm statm;

	if (!proc_cgroup_usage(group, &usage))
		return 0;
	if (proc_statm(&statm) && statm.anon_bytes < ours)
		ours = statm.anon_bytes;
	return usage > ours ? usage - ours : 0;
}

static void lower(struct group_left *now, uint64_t limit, uint64_t others)
{
	uint64_t left = others < limit ? limit - others : 0;

	now->max = limit < now->max ? limit : now->max;
	if (left >= now->left)
		return;
	now->left = left;
	now->is_group = true;
}

void group_left(struct proc_cgroup *group, struct group_left *now)
{
	uint64_t limit;

	if (!proc_cgroup_self(group))
		return;
	do
		if (proc_cgroup_limit(group, &limit) && limit != UINT64_MAX)
			lower(now, less_percent(limit, now->margin_percent),
			      usage_of_others(group));
	while (proc_cgroup_up(group));
}
