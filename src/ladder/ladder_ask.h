/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether the constraint is looked for: to find out which limit stood in the way takes system calls
 * that the heap does without, and a filter that the program has set may end it for one of them.
 */
#ifndef OOM_LADDER_ASK_H
#define OOM_LADDER_ASK_H

#include "reclaim/control.h"

/* Does it matter to anybody which limit it was? */
bool ladder_may_ask(unsigned scope);

/* The constraint that stands in the way. Where no report, policy or callback will read it, only
   what is known without a system call. */
enum constraint ladder_constraint(const struct oom_control *control);

/* Finds it once: that takes reading /proc, so it is for a callback, the policy or a report
   alone. */
void ladder_know_constraint(struct oom_control *control);

/* Tells tracers and the flight recorder of the group, where a group's max was met. */
void ladder_tell_group(const struct oom_control *control);

#endif
