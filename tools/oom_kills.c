/* SPDX-License-Identifier: BSD-2-Clause */
#include "oom_kills.h"

#include <stdio.h>
#include <string.h>

#include "system/proc.h"

/* The line "oom_kill N" of a file; 0 where there is none. */
static uint64_t read_kills(const char *path)
{
	static const char key[] = "oom_kill ";
	struct io_lines lines;
	uint64_t kills = 0;
	const char *line;

	if (proc_open_lines(&lines, "%s", path) != 0)
		return 0;
	while ((line = io_lines_next(&lines)) != NULL)
		if (strncmp(line, key, strlen(key)) == 0) {
			line += strlen(key);
			proc_parse_number(&line, &kills);
			break;
		}
	io_lines_close(&lines);
	return kills;
}

static void read_group(struct oom_kills *kills, const struct proc_cgroup *group)
{
	uint64_t limit, usage;

	if (!proc_cgroup_limit(group, &limit) || limit == UINT64_MAX ||
	    (kills->has_group && limit >= kills->limit) || !proc_cgroup_usage(group, &usage))
		return;
	kills->has_group = true;
	kills->limit = limit;
	kills->usage = usage;
	snprintf(kills->group, sizeof kills->group, "%s%s", group->mount, group->path);
}

void oom_kills_read(struct oom_kills *kills)
{
	char path[PROC_MOUNT_MAX + PROC_CGROUP_MAX + 32];
	struct proc_cgroup group;

	*kills = (struct oom_kills){.on_machine = read_kills("/proc/vmstat")};
	if (!proc_cgroup_self(&group))
		return;
	/* Counted where the victim was, and in version 2 above that as well. */
	snprintf(path, sizeof path, "%s%s/%s", group.mount, group.path,
	         group.is_v2 ? "memory.events" : "memory.oom_control");
	kills->in_group = read_kills(path);
	do
		read_group(kills, &group);
	while (proc_cgroup_up(&group));
}
