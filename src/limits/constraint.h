/* SPDX-License-Identifier: BSD-2-Clause */
/* Rung 11, the kernel's constrained_alloc(): why did the allocation fail? */
#ifndef OOM_CONSTRAINT_H
#define OOM_CONSTRAINT_H

#include "reclaim/control.h"

/* What stands in the way of `bytes` more. */
enum constraint constraint_find(size_t bytes);

/* "RLIMIT_AS" and so on. */
const char *constraint_name(enum constraint constraint);

/* The lowest of the limits in force, SIZE_MAX if there is none: no request above it can succeed. */
size_t constraint_max_bytes(void);

/* True where only this process's own end or its own freeing can help. */
bool constraint_is_per_process(enum constraint constraint);

#endif
