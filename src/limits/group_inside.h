/* SPDX-License-Identifier: BSD-2-Clause */
/* What a group is, for group.c, which has the tree and charges, and group_set.c. */
#ifndef OOM_GROUP_INSIDE_H
#define OOM_GROUP_INSIDE_H

#include <stdatomic.h>

#include "limits/group.h"

/* Counters and limits stand for themselves alone: relaxed. The tree is written under the lock; a
   parent outlives its children, and a group the threads inside and the arenas charged to it. */
struct group {
	_Atomic oomreclaim_group handle; /* 0: the slot is free */
	uint64_t uses;                   /* of the slot, so far */
	unsigned parent;                 /* constant while it lives, as are depth and name */
	unsigned depth;
	atomic_uint children;
	/* Threads inside; GROUP_GONE as well: nobody may enter any more. */
	atomic_uint threads;
	atomic_size_t charged; /* descendants included */
	atomic_size_t own;
	atomic_size_t peak;
	atomic_size_t max;
	atomic_uint policy; /* enum oomreclaim_policy */
	_Atomic uint64_t max_met;
	_Atomic uint64_t reclaimed;
	char name[OOMRECLAIM_GROUP_NAME_MAX + 1];
};

#define GROUP_GONE 0x80000000U

/* Slot 0 is the root's: never charged, and without a parent. One table, as handles name slots. */
extern struct group groups[GROUP_SLOTS];

#endif
