/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.low and memory.min of groups: what a group has is left alone by others' reclaim as long as
 * it is no more than that (mem_cgroup_calculate_protection() of mm/memcontrol.c, with
 * memory_recursiveprot). What low protects goes where others have nothing to give; what min
 * protects does not go.
 */
#ifndef OOM_GROUP_LOW_H
#define OOM_GROUP_LOW_H

#include "limits/group.h"

/* Several reclaims may be under way, of different groups: each has a mark of its own. */
enum { GROUP_LOW_MARKS = 3 };

void group_set_low(unsigned slot, size_t bytes);
size_t group_low(unsigned slot);
void group_set_min(unsigned slot, size_t bytes);
size_t group_min(unsigned slot);

/* What of a group is protected, given what is of its parent, and how much all children of that one
   have within their own low, or min. No state. */
struct group_protection {
	size_t usage, low;
	size_t parent_usage, parent_protected;
	size_t siblings_within;
};
size_t group_protected_bytes(const struct group_protection *is);

/* For a reclaim in that group and below it; 0: everywhere. Notes which groups are to be left alone.
   False: none is. Takes group_lock(). */
bool group_mark_protected(unsigned in, unsigned mark);

/* As it was noted last: by its low or its min; and by its min, so that it is not even asked where
   others have nothing. No lock. */
bool group_is_protected(unsigned slot, unsigned mark);
bool group_is_kept(unsigned slot, unsigned mark);

/* Whether any group has, or had, a low or a min. No lock. */
bool group_has_protection(void);

/* For an eviction in that group and below it: one at a time, as what two of them may take is not
   the sum. False: nothing is protected, and nothing is to be ended. Takes group_lock(), until
   group_end_giving(). */
bool group_begin_giving(unsigned in, enum group_keeps keeps);
void group_end_giving(void);

/* Meanwhile: how much of what is charged to the group may be taken by now; SIZE_MAX: all of it.
   `own` is the group of the thread: that one and its ancestors give for it. */
size_t group_may_give(unsigned slot, unsigned in, enum group_keeps keeps, unsigned own);

#endif
