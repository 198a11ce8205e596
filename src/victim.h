/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rungs 14 and 15: which process is killed so that this one may go on, and killing it. One thread at
 * a time is in here: killer.c sees to that.
 */
#ifndef OOM_VICTIM_H
#define OOM_VICTIM_H

#include <limits.h>
#include <stdbool.h>

#include "options.h"
#include "proc.h"
#include "proc_cgroup.h"

/* Who may be chosen. */
struct victim_scope {
	enum kill_target target;
	pid_t self;
	pid_t pgrp;
	bool has_group; /* false: group is not known */
	struct proc_cgroup group;
	uint64_t total_pages; /* that oom_score_adj is a thousandth of */
};

/* The process's own scope, by the setting kill_target. */
void victim_scope(struct victim_scope *scope);

/* mm/oom_kill.c's oom_badness(): how much memory a process's end would free, in pages, moved by its
   oom_score_adj. VICTIM_NEVER for one that must not be chosen. */
#define VICTIM_NEVER LONG_MIN
long oom_badness(const struct proc_pid *process, uint64_t total_pages);

/* select_bad_process(). False if there is nobody; at equal badness the one found last. */
bool victim_select(const struct victim_scope *scope, struct proc_pid *chosen);

/* False, and not chosen again, if this process may not kill that one. */
bool victim_may_be_killed(const struct proc_pid *process);

/* The candidates of the last selection, for the report: index from 0; false behind the last. Only
   the first VICTIM_TABLE are kept. */
#define VICTIM_TABLE 64
bool victim_candidate(unsigned index, struct proc_pid *process);

/* Kills the process, and its group where that is asked for, and waits until its memory is back, or
   for about twice the setting kill_grace_ms.
   0: gone; -ESRCH: was gone already; -ETIMEDOUT: still dying; -EPERM: may not be killed, and will not
   be chosen again. */
int victim_kill(const struct victim_scope *scope, const struct proc_pid *process);

/* What goes with this process where its group is killed as a whole; nothing otherwise. */
void victim_kill_companions(const struct victim_scope *scope);

/* Waits for the victim that victim_kill() gave up on. True if there was one and it is gone now; if
   it does not go this time either, it is left out of account from then on, as the kernel's
   MMF_OOM_SKIP. */
bool victim_wait(void);

/* The child of a fork has no victim. */
void victim_fork_child(void);

#endif
