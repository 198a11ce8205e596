/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the log shows of a failure, in the form of the kernel's dump_header(). Put together in
 * static storage, written at once, to stderr or to the file of the setting `log`.
 */
#ifndef OOM_REPORT_H
#define OOM_REPORT_H

#include "control.h"
#include "proc.h"

/* What comes of it. */
struct report_verdict {
	enum oomreclaim_policy policy;
	const struct proc_pid *victim; /* of KILL */
	bool has_table;                /* victim.h's candidates belong to it */
	const char *reason;            /* NULL, or what to say in place of "Out of memory" */
};

/* The whole report. */
void report_write(const struct oom_control *control, const struct report_verdict *verdict);

/* At most ten in five seconds, as the kernel's printk_ratelimit(); the next says how many were left
   out. For reports and lines that do not end the process. */
bool report_may_write(void);

/* The one line of `verbose`. */
void report_failure(const struct oom_control *control);

/* The line that names the callback which another thread was in for too long. */
void report_timeout(const struct oom_control *control, const char *callback);

void report_fork_prepare(void);
void report_fork_parent(void);
void report_fork_child(void);

#endif
