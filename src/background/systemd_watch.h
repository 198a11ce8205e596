/* SPDX-License-Identifier: BSD-2-Clause */
/* systemd's protocol: $MEMORY_PRESSURE_WATCH and, in base64, $MEMORY_PRESSURE_WRITE. */
#ifndef OOM_BACKGROUND_SYSTEMD_WATCH_H
#define OOM_BACKGROUND_SYSTEMD_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "config/options.h"
#include "system/proc_cgroup.h"

/* A path of a source: a setting, or a file of a group. */
#define PRESSURE_PATH_BYTES (OPTIONS_PATH_MAX + PROC_CGROUP_MAX)

#define WRITE_MAX 256

/* What the variables were at the start. The environment may change later, in another thread. */
extern struct systemd_watch {
	bool has_path;
	char path[PRESSURE_PATH_BYTES];
	int error;                /* what is wrong with them */
	char text[WRITE_MAX + 1]; /* terminated */
	size_t bytes;
} systemd_watch;

/* Before main(). */
void systemd_watch_init(void);

#endif
