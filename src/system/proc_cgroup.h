/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory cgroup of a process: version 1 where its memory controller is mounted, else version 2.
 * As proc.h: no allocation, below proc_root, and where a file is missing the answer is "no". A
 * source of pressure in a group (background/pressure.c) is put together from its mount and path.
 */
#ifndef OOM_PROC_CGROUP_H
#define OOM_PROC_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_CGROUP_MAX 512
#define PROC_MOUNT_MAX 256

struct proc_cgroup {
	bool is_v2;
	char mount[PROC_MOUNT_MAX]; /* where the hierarchy is mounted */
	char root[PROC_CGROUP_MAX]; /* which part of it that is: "" for all */
	char path[PROC_CGROUP_MAX]; /* the group, below root; "" for root itself */
};

/* The group that this process is in. */
bool proc_cgroup_self(struct proc_cgroup *group);

/* The group on the version 2 hierarchy, which has files even where the memory controller is version
   1's. */
bool proc_cgroup_unified(struct proc_cgroup *group);

/* Moves to the parent; false at the top. */
bool proc_cgroup_up(struct proc_cgroup *group);

/* The group's limit, UINT64_MAX if it has none, and the usage that counts against the limit:
   without the pages that the kernel would drop before it kills. */
bool proc_cgroup_limit(const struct proc_cgroup *group, uint64_t *limit_bytes);
bool proc_cgroup_usage(const struct proc_cgroup *group, uint64_t *usage_bytes);

/* True if the process is in the group or below it. */
bool proc_cgroup_contains(const struct proc_cgroup *group, pid_t pid);

/* The top of the hierarchy, and not a container's, as far as that can be seen: the whole
   machine. */
bool proc_cgroup_is_everybody(const struct proc_cgroup *group);

/* The group that a process is in, on the hierarchy of `like`. False where the group is not in
   sight, as a group outside of a container. */
bool proc_cgroup_of(pid_t pid, const struct proc_cgroup *like, struct proc_cgroup *group);

/* memory.oom.group of the group itself; version 1 has none. */
bool proc_cgroup_has_oom_group(const struct proc_cgroup *group);

#endif
