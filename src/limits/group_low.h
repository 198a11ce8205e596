/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.low of groups: what a group has is left alone by others' reclaim as long as it is no more
 * than that, and as long as others have something to give (mem_cgroup_calculate_protection() of
 * mm/memcontrol.c, with memory_recursiveprot).
 */
#ifndef OOM_GROUP_LOW_H
#define OOM_GROUP_LOW_H

#include "limits/group.h"

/* Several reclaims may be under way, of different groups: each has a mark of its own. */
enum { GROUP_LOW_MARKS = 3 };

void group_set_low(unsigned slot, size_t bytes);
size_t group_low(unsigned slot);

/* What of a group is protected, given what is of its parent, and how much all children of that one
   have within their own low. No state. */
struct group_protection {
	size_t usage, low;
	size_t parent_usage, parent_protected;
	size_t siblings_within;
};
size_t group_protected_bytes(const struct group_protection *is);

/* For a reclaim in that group and below it; 0: everywhere. Notes which groups are to be left alone.
   False: none is. */
bool group_mark_protected(unsigned in, unsigned mark);

/* As it was noted last. No lock. */
bool group_is_protected(unsigned slot, unsigned mark);

#endif
