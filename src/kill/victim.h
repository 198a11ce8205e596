/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's select_bad_process(): which process is killed so that this one may go on. One thread
 * at a time is in here and in victim_kill.c: killer.c sees to that.
 */
#ifndef OOM_VICTIM_H
#define OOM_VICTIM_H

#include <limits.h>
#include <stdbool.h>

#include "config/options.h"
#include "system/proc.h"
#include "system/proc_cgroup.h"

/* mm/oom_kill.c has is_global_init(); here it is the first process of whatever namespace. */
#define INIT_PID 1

/* Which processes may be chosen, as the kernel's constrained_alloc() finds out. */
struct victim_domain {
	enum kill_target target;
	pid_t self;
	pid_t pgrp;
	int proc_error; /* -errno: no process can be looked for by number; proc_check_numbers() */
	bool is_total;  /* only those that share the total: no other's end would help */
	bool has_group; /* false: group is not known */
	struct proc_cgroup group;
	uint64_t total_pages; /* that oom_score_adj is a thousandth of */
};

/* The domain of this process, by the setting kill_target. is_group_full: it is a memory cgroup that
   has nothing left, so its limit is all there is to share. */
void victim_domain_find(struct victim_domain *domain, bool is_group_full);

/* mm/oom_kill.c's oom_badness(): how much memory a process's end would free, in pages, moved by its
   oom_score_adj. VICTIM_NEVER for one that must not be chosen. */
#define VICTIM_NEVER LONG_MIN
long oom_badness(const struct proc_pid *process, uint64_t total_pages);

/* select_bad_process(). At equal badness the one found last. -ESRCH: there is nobody; another
   -errno: there may be somebody, but /proc can't be read. */
int victim_select(const struct victim_domain *domain, struct proc_pid *chosen);

/* True if the process, read again, is one of those that may be chosen. */
bool victim_is_eligible(const struct victim_domain *domain, const struct proc_pid *process);

/* The process will not be chosen again: the kernel's MMF_OOM_SKIP. Of the last VICTIM_SKIPPED that
   much is remembered. */
#define VICTIM_SKIPPED 64
void victim_skip(pid_t pid, uint64_t start_time);

/* The candidates of the last selection, for the report. Only the first VICTIM_TABLE are kept. */
#define VICTIM_TABLE 64
const struct proc_pid *victim_candidates(unsigned *count);

/* The child of a fork has chosen nobody. */
void victim_fork_child(void);

#endif
