/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel says about this process. The one file that names /proc.
 *
 * No allocation, no stdio: small files are read into the stack. Where a file is missing or not
 * understood the answer is false or 0, never an error: the ladder works without /proc.
 */
#ifndef OOM_PROC_H
#define OOM_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In front of every path: "" but in tests. */
extern const char *proc_root;

struct proc_statm {
	uint64_t total_bytes;    /* what RLIMIT_AS counts */
	uint64_t resident_bytes;
	uint64_t data_bytes;     /* what RLIMIT_DATA counts, and the stack */
};

bool proc_statm(struct proc_statm *statm);

/* Threads of this process, 0 if unknown. */
unsigned proc_threads(void);

/* The name of this thread's process as ps shows it; "?" if unknown. */
#define PROC_NAME_MAX 16
void proc_name(char name[PROC_NAME_MAX]);

#endif
