/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the log shows of a failure, in the form of the kernel's dump_header(). Put together in
 * static storage, written at once, to stderr or to the file of the setting `log`.
 */
#ifndef OOM_REPORT_H
#define OOM_REPORT_H

#include "limits/group_victim.h"
#include "reclaim/control.h"
#include "system/proc.h"
#include "system/proc_cgroup.h"

/* The verdict on a request, as far as the report tells it. */
struct report_verdict {
	enum oomreclaim_policy policy;
	const struct proc_pid *victim;        /* of KILL */
	const struct proc_cgroup *full_group; /* the group at its limit; NULL: none */
	const struct proc_cgroup *group;      /* that goes as a whole with it; NULL: none does */
	const struct proc_pid *tasks;         /* the candidates; NULL where none was looked for */
	unsigned task_count;
	const char *reason;  /* NULL, or what to say in place of "Out of memory" */
	const char *refusal; /* NULL, or why nothing harsher than RETURN was allowed */
};

/* The whole report. */
void report_write(const struct oom_control *control, const struct report_verdict *verdict);

/* What of it is so without a request that fails, into `text`. Returns its length. */
size_t report_ask(char *text, size_t bytes);

/* At most ten in five seconds, as the kernel's printk_ratelimit(); the next says how many were left
   out. For reports and lines that do not end the process. */
bool report_may_write(void);

/* The one line of `verbose`; refusal as above. */
void report_failure(const struct oom_control *control, const char *refusal);

/* The line of `verbose` and of report:always about a group that is cancelled. */
void report_cancel(const struct oom_control *control, const struct group_victim *victim);

/* The line that names the callback which another thread was in for too long. */
void report_timeout(const struct oom_control *control, const char *callback);

void report_fork_lock(void);
void report_fork_unlock(void);

#endif
