/* SPDX-License-Identifier: BSD-2-Clause */
/* What limit:auto goes by, to be told: the budget reads the same again and again. */
#ifndef OOM_AUTO_LIMIT_H
#define OOM_AUTO_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "system/proc_cgroup.h"

struct auto_limit {
	uint64_t bytes; /* less the margin; UINT64_MAX: nothing was found */
	char group[PROC_MOUNT_MAX +
	           PROC_CGROUP_MAX]; /* whose limit it is; "": the machine's memory */
};

void auto_limit_find(struct auto_limit *limit, unsigned margin_percent);

#endif
