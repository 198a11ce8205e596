/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of this process, by abort or kill: which thread begins it, what is written before it, and
 * the signal. One thread begins it; from then on the process counts as dying.
 */
#ifndef OOM_OWN_END_H
#define OOM_OWN_END_H

#include "reclaim/control.h"
#include "report/report.h"

/* True for the first thread; from then on the process counts as dying. The policy is ABORT or KILL,
   whichever ends it. */
bool own_end_mark(enum oomreclaim_policy policy);

/* The process is being ended, by whichever thread came first. */
bool own_end_is_dying(void);

/* Another thread is about to end the process, by abort() or SIGKILL: of a dying process. To wait
   for the end is better than NULL, for which a caller under such a policy need not be prepared.
   False once the setting kill_grace_ms is over, or five seconds are: the handler of SIGABRT may
   never come back, or wait for the very thread that asks. And where that handler has left by
   longjmp(): then the process is no longer dying. */
bool own_end_is_near(void);

/* Marks it, and writes report, dump and statistics. False where another thread was first, and
   nothing is written. */
bool own_end_claim(const struct oom_control *control, const struct report_verdict *verdict);

/* Report and dump alone, as the settings say: another process ends, and this one goes on. */
void own_end_report(const struct oom_control *control, const struct report_verdict *verdict);

/* Ends the process: ABORT or KILL. Returns only where the signal of KILL has been sent and is one
   that the program handles; then SIGKILL follows after the setting kill_grace_ms. Not in the
   ladder, as a signal handler may never come back. */
void own_end_act(enum oomreclaim_policy policy);

/* Ends the process if it has outlived that SIGKILL, as the first process of a pid namespace
   does. */
void own_end_check_grace(void);

void own_end_fork_child(void);

#endif
