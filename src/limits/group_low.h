/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.low and memory.min of groups: what a group has is left alone by others' reclaim as long as it
 * is no more than that (mem_cgroup_calculate_protection() of mm/memcontrol.c, with
 * memory_recursiveprot). What low protects goes where others have nothing to give; what min protects
 * does not go.
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

/* How much of what is charged to the group may be taken by a reclaim in `in`: all of it, SIZE_MAX,
   where nothing is protected. Takes group_lock(). *walk begins as 0: calls with the same one look at
   all groups once. */
size_t group_may_give(unsigned slot, unsigned in, enum group_keeps keeps, uint64_t *walk);

#endif
