/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is to happen when reclaim has given nothing: the policy callback's word, or the policy in
 * force. Whether anything may happen at all is the ladder's to say.
 */
#ifndef OOM_POLICY_H
#define OOM_POLICY_H

#include "reclaim/control.h"

/* What is to happen to this request: the policy callback's word if there is one, else the policy
   in force. */
enum oomreclaim_policy policy_decide(const struct oom_control *control);

/* Something else than NULL is to happen, or the program is to be asked. */
bool policy_is_set(unsigned group);

/* The policy in force: that of the group (limits/group.h) that has met its max; of the process for
   group 0. */
enum oomreclaim_policy policy_of(unsigned group);

/* The policy callback, or NULL; that there is none any more, if it is still this one. */
oomreclaim_policy_callback *policy_get_callback(void);
bool policy_drop_callback(oomreclaim_policy_callback *function);

void policy_fork_lock(void);
void policy_fork_unlock(void);

#endif
