/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel says of the memory cgroup that this command is in, and of its OOM killer. */
#ifndef OOM_KILLS_H
#define OOM_KILLS_H

#include <stdbool.h>
#include <stdint.h>

#include "system/proc_cgroup.h"

struct oom_kills {
	bool has_group; /* one with a limit: the lowest of those around this command */
	char group[PROC_MOUNT_MAX + PROC_CGROUP_MAX];
	uint64_t limit, usage;
	uint64_t in_group;   /* processes of the own group that the kernel has killed, ever */
	uint64_t on_machine; /* the same of all */
};

void oom_kills_read(struct oom_kills *kills);

#endif
