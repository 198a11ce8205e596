/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel says about this process and others, and about the machine. The files of this room
 * know the form of /proc's files, and read them below proc_root. Other rooms name single files of
 * /proc: a sysctl for proc_read_number(), a descriptor's link, pressure.
 *
 * No allocation, no stdio: files are read into the stack, or into static storage where one thread
 * at a time reads them. Where a file is missing or not understood the answer is false, 0 or an
 * error, and the ladder works without it.
 */
#ifndef OOM_PROC_H
#define OOM_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/io_read.h"

/* In front of every path: "" but in tests. */
extern const char *proc_root;

/* Opens proc_root and a path put together as printf does. 0 or -errno. */
int proc_open_lines(struct io_lines *lines, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Reads an unsigned decimal number behind blanks, and moves behind it. */
bool proc_parse_number(const char **text, uint64_t *number);

/* ---- This process ---- */

struct proc_statm {
	uint64_t total_bytes; /* what RLIMIT_AS counts */
	uint64_t resident_bytes;
	uint64_t anon_bytes; /* of these, no part of a file or of shared memory */
	uint64_t data_bytes; /* what RLIMIT_DATA counts, and the stack */
};

bool proc_statm(struct proc_statm *statm);

/* Threads of this process, 0 if unknown. */
unsigned proc_threads(void);

/* True where no other thread can open or close a descriptor, say, at this moment. */
bool proc_is_single_threaded(void);

/* True where there is no other thread but those of the library's own that are asleep: nobody else
   could free anything, or close a descriptor. False where the threads are not known. */
bool proc_is_alone(void);

/* Mappings of this process, 0 if unknown. */
uint64_t proc_map_count(void);

/* The name of this process as ps shows it; "?" if unknown. */
#define PROC_NAME_MAX 16
void proc_name(char name[PROC_NAME_MAX]);

/* Its cpuset, and the memory nodes that this allows; "?" if unknown. */
#define PROC_TEXT_MAX 128
void proc_cpuset(char cpuset[PROC_TEXT_MAX], char mems_allowed[PROC_TEXT_MAX]);

/* ---- The machine ---- */

/* A line of /proc/meminfo such as "MemTotal", in bytes. */
bool proc_meminfo(const char *field, uint64_t *bytes);

/* A number that is all of a file: "/proc/sys/vm/max_map_count". */
bool proc_read_number(const char *path, uint64_t *number);

/* ---- Any process: one thread at a time; killer.c sees to that ---- */

/* The kernel's: of a process that it must not kill, and of one that it kills first. */
#define OOM_SCORE_ADJ_MIN (-1000)
#define OOM_SCORE_ADJ_MAX 1000

struct proc_pid {
	pid_t pid;
	pid_t tgid;
	pid_t ppid;
	pid_t pgrp;
	uid_t uid;
	char state;          /* as ps shows it: R, S, D, Z, X ... */
	bool has_memory;     /* false for kernel threads and for what has already exited */
	uint64_t start_time; /* in clock ticks since boot: with the pid, it is this process */
	uint64_t total_vm_pages;
	uint64_t rss_pages;
	uint64_t rss_anon_pages;
	uint64_t rss_file_pages;
	uint64_t rss_shmem_pages;
	uint64_t swap_pages;
	uint64_t pgtables_bytes;
	int oom_score_adj; /* from OOM_SCORE_ADJ_MIN to _MAX */
	char name[PROC_NAME_MAX];
};

/* 0; -ENOENT or -ESRCH if the process is gone; -EACCES and the like if it may not be read; -EINVAL
   if a file is not understood. */
int proc_pid_read(pid_t pid, struct proc_pid *process);

/* 0 where the numbers in /proc are those that kill() takes; -EXDEV where /proc is of another pid
   namespace; another -errno where it can't be read. */
int proc_check_numbers(void);

/* Calls `visit` with the pid of each process, until `visit` returns false. The table may change
   meanwhile: a process that lives throughout is visited once. 0 or -errno. */
int proc_walk(bool (*visit)(pid_t pid, void *arg), void *arg);

/* The soft limit in bytes; UINT64_MAX: there is none. */
uint64_t proc_rlimit(__rlimit_resource_t resource);

#endif
