/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the post-mortem needs: jemalloc's statistics as JSON and, where profiling is on, a heap
 * profile, in the directory of the setting oom_dump.
 */
#ifndef OOM_DUMP_H
#define OOM_DUMP_H

#include "config/options.h"

#define DUMP_PATH_MAX (OPTIONS_PATH_MAX + 64)

/* Writes them, once in the life of a process: oomreclaim.PID.stats.json and oomreclaim.PID.heap.
   What can't be written is left out. */
void dump_write(void);

/* The same where a request is refused and the program goes on: three times at most, a minute apart.
   oomreclaim.PID.refused.1.stats.json and so on. */
void dump_write_refusal(void);

/* The same where the watermark high is crossed, with the setting oom_dump_high:
   oomreclaim.PID.high.1.stats.json and so on, as many and as far apart. */
void dump_write_high(void);

/* The same for somebody who asks for it, as often: oomreclaim.PID.asked.1.stats.json and so on. The
   path of that; 0, or -errno: -ENOTSUP without the setting oom_dump, -EBUSY where another one is
   under way. */
int dump_write_asked(char path[DUMP_PATH_MAX]);

/* The error that dump_write() would come to as things stand, or 0. */
int dump_check(void);

/* A child of fork() is another process. */
void dump_fork_child(void);

#endif
