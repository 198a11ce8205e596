/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of the report that is about processes, as the kernel has it. With the lock of report.c
   held. */
#ifndef OOM_REPORT_VICTIM_H
#define OOM_REPORT_VICTIM_H

#include "base/io.h"
#include "report/report.h"

/* The table of candidates. */
void report_put_tasks(struct io_buf *buf, const struct report_verdict *verdict);

/* The lines about the one that was chosen. */
void report_put_victim(struct io_buf *buf, const struct oom_control *control,
                       const struct report_verdict *verdict);

static inline uint64_t kib(uint64_t bytes)
{
	return bytes >> 10;
}

#endif
