/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's constrained_alloc(): why did the allocation fail? */
#ifndef OOM_CONSTRAINT_H
#define OOM_CONSTRAINT_H

#include <stdbool.h>

#include "base/heap_request.h"

/* The kernel's enum oom_constraint: what stands in the way. */
enum constraint {
	CONSTRAINT_UNKNOWN, /* not looked at, or /proc could not be read */
	CONSTRAINT_NONE,    /* no limit of ours: the machine is out of memory */
	CONSTRAINT_RLIMIT_AS,
	CONSTRAINT_RLIMIT_DATA,
	CONSTRAINT_MAX_MAP_COUNT,
	CONSTRAINT_BUDGET,     /* the setting limit */
	CONSTRAINT_CGROUP,     /* the limit of a memory cgroup */
	CONSTRAINT_OVERCOMMIT, /* vm.overcommit_memory=2 */
	CONSTRAINT_GROUP,      /* the max of a group of this process: group.h */
	CONSTRAINT_TOTAL, /* the limit of all processes below oomreclaim run --total: total.h */
	CONSTRAINTS
};

/* Reads the rlimits as the process starts with them. The lower of the soft ones; SIZE_MAX: there is
   none. */
size_t constraint_init(void);

/* What stands in the way of `bytes` more. */
enum constraint constraint_find(size_t bytes);

/* The lowest limit that `bytes` alone exceed; NONE if none is that low. may_ask: the kernel; else
   UNKNOWN stands for its limits. */
enum constraint constraint_of_impossible(size_t bytes, bool may_ask);

/* The same by what is known without a system call: the budget, else UNKNOWN. Under a filter of
   system calls the program allows what the heap needs, and a question more may be its end. */
enum constraint constraint_guess(size_t bytes);

/* "RLIMIT_AS" and so on. */
const char *constraint_name(enum constraint constraint);

/* The lowest of the limits in force, SIZE_MAX if there is none. */
size_t constraint_max_bytes(void);
/* The same without a system call: of the rlimits the hard ones, as they were at the start. */
size_t constraint_known_max_bytes(void);

/* With its alignment the request is beyond such a limit. may_ask: the kernel, which limits are in
   force. */
bool constraint_is_impossible(const struct heap_request *request, bool may_ask);

/* True where only this process's own end or its own freeing can help. */
bool constraint_is_per_process(enum constraint constraint);

/* True for the budget's: a cgroup makes an allocation fail only by way of limit:auto. The total is
   one of them. */
bool constraint_is_of_budget(enum constraint constraint);

#endif
