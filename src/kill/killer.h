/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's out_of_memory() from where reclaim has ended, to the kill. One thread at a time;
 * those that arrive meanwhile wait for it and try again, so that many failures are one kill and one
 * report.
 */
#ifndef OOM_KILLER_H
#define OOM_KILLER_H

#include "reclaim/control.h"

enum killer_result {
	KILLER_RETRY,  /* a process was killed, or has gone by itself */
	KILLER_OFF,    /* the killer is disabled */
	KILLER_SPARED, /* there was memory after all */
	KILLER_END,    /* it is this process: own_end_act() is to follow */
	KILLER_NOBODY, /* by hand only: there is nobody to kill */
	KILLER_BLIND   /* there may be somebody, but /proc can't be read */
};

/* Does what the policy says, ABORT or KILL, if a last attempt finds nothing: what follows can't be
   taken back, and while this thread waited for its turn another may have killed or freed. The
   kernel makes that attempt under oom_lock. At KILLER_SPARED *memory is what it found. At
   KILLER_END the report is written, the process counts as dying, and *policy says which of the two
   it is: with no process left to kill KILL becomes ABORT, as the kernel panics. */
enum killer_result killer_act(const struct oom_control *control, enum oomreclaim_policy *policy,
                              void **memory);

void killer_fork_child(void);

#endif
