/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rungs 12 and 13: what is to happen when reclaim has given nothing, and doing it. Whether anything
 * may happen at all is the ladder's to say.
 */
#ifndef OOM_POLICY_H
#define OOM_POLICY_H

#include "reclaim/control.h"

/* What is to happen to this request: the policy callback's word if there is one, else the policy
   in force. */
enum oomreclaim_policy policy_decide(const struct oom_control *control);

/* Something else than NULL is to happen, or the program is to be asked. */
bool policy_is_set(void);

/* True for the one thread that may act; from then on the process counts as dying. */
bool policy_claim(void);

/* The process is being ended, by whichever thread came first. */
bool policy_is_dying(void);

/* Ends the process: ABORT or KILL. Returns only where the signal of KILL has been sent and is one
   that the program handles; then SIGKILL follows after the setting kill_grace_ms. */
void policy_act(enum oomreclaim_policy policy);

/* Ends the process if it has outlived that SIGKILL, as the first process of a pid namespace does. */
void policy_check_grace(void);

/* The policy callback, or NULL; that there is none any more, if it is still this one. */
oomreclaim_policy_callback *policy_get_callback(void);
bool policy_drop_callback(oomreclaim_policy_callback *function);

void policy_fork_lock(void);
void policy_fork_unlock(void);
void policy_fork_child(void);

#endif
