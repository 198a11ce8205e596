/* SPDX-License-Identifier: BSD-2-Clause */
/* What a group is, for group.c, which has the tree, group_charge.c, group_set.c, and
   group_victim.c. */
#ifndef OOM_GROUP_INSIDE_H
#define OOM_GROUP_INSIDE_H

#include <stdatomic.h>

#include "limits/group.h"

enum group_mark {
	GROUP_HAS_CANCEL = 1,     /* a function: it may be chosen */
	GROUP_CANCEL_RESERVE = 2, /* the attribute */
	GROUP_CANCELLED = 4,      /* it has been chosen, and gets no page more */
	GROUP_UNTOLD = 8,         /* its function is still to be called for that */
	GROUP_IN_FILE = 16,       /* its function is in a file that may be closed */
	GROUP_PROTECTED = 32, /* and the next two: by its low or min, in a reclaim: group_low.h */
	GROUP_INHERIT = 256,  /* the attribute */
	GROUP_KEPT = 512      /* and the next two: by its min */
};

/* What is kept from others' reclaim: memory.min, and memory.low. */
enum { GROUP_BY_MIN, GROUP_BY_LOW, GROUP_PROTECTIONS };

/* All of it under the lock. */
struct group_cancel {
	oomreclaim_group_cancelled *function; /* GROUP_HAS_CANCEL */
	void *arg;
	uint64_t deadline_ns; /* of GROUP_CANCELLED: others may be chosen from then on */
	size_t part;          /* of GROUP_CANCELLED: it ends when no more is left */
	size_t sum;           /* for the search that is under way */
	/* Of the group and those below it, when the last one that was cancelled ended, and when the
	   last one was destroyed; 0: never. */
	uint64_t ended_ns, destroyed_ns;
};

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
	atomic_size_t high;
	atomic_size_t protects[GROUP_PROTECTIONS];
	atomic_uint policy; /* enum oomreclaim_policy */
	atomic_int score_adj;
	atomic_uint marks; /* enum group_mark, or-ed; written under the lock */
	_Atomic uint64_t max_met;
	_Atomic uint64_t high_met;
	_Atomic uint64_t reclaimed;
	_Atomic uint64_t cancels;
	struct group_cancel cancel;
	struct {
		size_t bytes, children_within; /* for the walk of group_low.c, under the lock */
	} protection[GROUP_PROTECTIONS];
	char name[OOMRECLAIM_GROUP_NAME_MAX + 1];
};

#define GROUP_GONE 0x80000000U

/* Slot 0 is the root's: never charged, and without a parent. One table, as handles name slots;
   before there is a group it has this slot alone, since the rest takes megabytes of addresses,
   which a process with a limit on these would lack. */
extern struct group *_Atomic group_table;
/* Acquire: what it points to is mapped. */
#define groups (atomic_load_explicit(&group_table, memory_order_acquire))

/* With the lock: no slot from here on was ever given out. */
unsigned group_slots_used(void);

/* In the child of a fork: what no thread of the child will take back is charged to nobody. */
void group_charge_fork_child(void);

static inline bool group_is_marked(unsigned slot, unsigned mark)
{
	return (atomic_load_explicit(&groups[slot].marks, memory_order_relaxed) & mark) != 0;
}

static inline void group_set_mark(unsigned slot, unsigned mark, bool is_set)
{
	if (is_set)
		atomic_fetch_or(&groups[slot].marks, mark);
	else
		atomic_fetch_and(&groups[slot].marks, ~mark);
}

#endif
