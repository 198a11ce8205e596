/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a process belongs: its cgroup, and the unit of systemd that it is of. */
#ifndef UNIT_H
#define UNIT_H

#include <sys/types.h>

#define UNIT_BYTES 256
#define CGROUP_BYTES 1024

/* The innermost service or scope among the parts of a group's path, "" where there is none. */
void unit_in(const char *path, char unit[UNIT_BYTES]);

/* Both of a process: "" where that is not known. The cgroup is that of the memory
   controller, else the one of version 2. What is not printable ASCII is '?'. */
void unit_of(pid_t pid, char unit[UNIT_BYTES], char cgroup[CGROUP_BYTES]);

#endif
