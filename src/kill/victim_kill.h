/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Killing the chosen process and those that go with it, and having their memory back. One thread at
 * a time, as in victim.h.
 */
#ifndef OOM_VICTIM_KILL_H
#define OOM_VICTIM_KILL_H

#include "kill/victim.h"

/* mem_cgroup_get_oom_group(): the group that goes as a whole with this process, where
   memory.oom.group or the setting kill_group asks for it. False: none does. */
bool victim_group(const struct victim_domain *domain, pid_t pid, struct proc_cgroup *group);

/* Kills the process, and those of `group` unless it is NULL, and waits until its memory is back, or
   for about twice the setting kill_grace_ms. This process itself is left out, though it be of the
   group. 0: gone; -ESRCH: was gone already; -ETIMEDOUT: still dying; -EPERM: may not be killed, and
   will not be chosen again. */
int victim_kill(const struct victim_domain *domain, const struct proc_pid *process,
                const struct proc_cgroup *group);

/* Kills all of the group but this process. They have kill_grace_ms as well. */
void victim_kill_group(const struct victim_domain *domain, const struct proc_cgroup *group);

/* Waits for the victim that victim_kill() gave up on. True if there was one and it is gone now; if
   it does not go this time either, it is left out of account from then on, as the kernel's
   MMF_OOM_SKIP. */
bool victim_wait(void);

/* The child of a fork has no victim. */
void victim_kill_fork_child(void);

#endif
