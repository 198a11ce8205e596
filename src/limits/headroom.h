/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much can still be allocated before a limit is met.
 *
 * Each limit is kept as a ceiling: the most that may be charged to the heap. What is charged is
 * known at each moment; of the limits, those of the budget are, too. What the kernel knows, the
 * rlimits and the cgroup, is read by headroom_refresh(), and good until somebody else than the heap
 * maps or uses memory.
 */
#ifndef OOM_HEADROOM_H
#define OOM_HEADROOM_H

#include <stdatomic.h>

#include "base/base.h"

/* What the heap maps and unmaps, but for records that it has not begun to use. Called with the
   heap's locks held. */
void headroom_mapped(size_t bytes);
void headroom_unmapped(size_t bytes);

/* Reads what the kernel knows: some system calls. Where another thread is at it, nothing is
   done. */
void headroom_refresh(void);

/* Returns when that has been read once in this process: reads it itself, or waits for the thread
   that is at it, no longer than a second. With the heap's locks free. */
void headroom_know(void);

struct headroom {
	size_t ceiling;         /* of the nearest limit; SIZE_MAX: there is none */
	const char *constraint; /* which that is: "HIGH" or one of constraint_name()'s */
};

/* The nearest limit, as far as is known. has_high: the setting high counts as one. */
void headroom_nearest(struct headroom *nearest, bool has_high);

/* What may still be charged, and what is free in the heap. SIZE_MAX: no limit. */
size_t headroom_below(const struct headroom *nearest, size_t free_bytes);

void headroom_fork_child(void);

#endif
