/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the post-mortem needs: jemalloc's statistics as JSON and, where profiling is on, a heap
 * profile, in the directory of the setting oom_dump.
 */
#ifndef OOM_DUMP_H
#define OOM_DUMP_H

/* Writes them, once in the life of a process: oomreclaim.PID.stats.json and oomreclaim.PID.heap.
   What can't be written is left out. */
void dump_write(void);

/* The same where a request is refused and the program goes on: three times at most, a minute apart.
   oomreclaim.PID.refused.1.stats.json and so on. */
void dump_write_refusal(void);

/* The error that dump_write() would come to as things stand, or 0. */
int dump_check(void);

/* A child of fork() is another process. */
void dump_fork_child(void);

#endif
