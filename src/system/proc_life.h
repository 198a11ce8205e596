/* SPDX-License-Identifier: BSD-2-Clause */
/* Which process a pid is, and whether it still lives: by any thread, also where many ask at
   once. */
#ifndef OOM_PROC_LIFE_H
#define OOM_PROC_LIFE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_life {
	pid_t ppid;
	uint64_t start_time; /* in clock ticks since boot: with the pid, it is this process */
	bool has_ended;      /* and its parent has not waited for it yet */
};

/* 0 is this process. False where it can't be read. */
bool proc_life(pid_t pid, struct proc_life *life);

/* The inode of this process's pid namespace; 0 if unknown. */
uint64_t proc_pid_namespace(void);

#endif
