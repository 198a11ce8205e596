/* SPDX-License-Identifier: BSD-2-Clause */
#include "limits/auto_limit.h"

#include "base/io.h"
#include "limits/group_left.h"
#include "system/proc.h"

void auto_limit_find(struct auto_limit *limit, unsigned margin_percent)
{
	struct io_buf name = {.text = limit->group, .bytes = sizeof limit->group};
	struct proc_cgroup group;
	uint64_t bytes;

	limit->group[0] = '\0';
	if (!proc_meminfo("MemTotal", &limit->bytes))
		limit->bytes = UINT64_MAX;
	if (proc_cgroup_self(&group))
		do {
			if (!proc_cgroup_limit(&group, &bytes) || bytes >= limit->bytes)
				continue;
			limit->bytes = bytes;
			name.used = 0;
			io_printf(&name, "%s%s", group.mount, group.path);
		} while (proc_cgroup_up(&group));
	if (limit->bytes != UINT64_MAX)
		limit->bytes = less_percent(limit->bytes, margin_percent);
}
