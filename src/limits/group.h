/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Groups, as memory cgroups: the tree, and what each is charged (mm/page_counter.c). A group is
 * known by its slot, which is used again, or by its handle, which is not. Slot 0 is the root, the
 * process, of which nothing is counted here (budget.h).
 *
 * Charging is called with the heap's locks held: atomic operations alone, as in budget.h.
 */
#ifndef OOM_GROUP_H
#define OOM_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "oomreclaim_group.h"

#define GROUP_SLOTS (OOMRECLAIM_GROUPS_MAX + 1)
/* Which protection of groups a reclaim respects (group_low.h): none, where all is to go; what is
   within a group's min; and what is within its low as well, where others may have something. */
enum group_keeps { GROUP_KEEPS_NONE, GROUP_KEEPS_MIN, GROUP_KEEPS_LOW };

/* As many arenas as the heap may have. */
#define GROUP_ARENAS 4096

/* ---- The tree. Its lock is held by those that call what says so ---- */

void group_lock(void);
void group_unlock(void);

/* With the lock: a new group's slot, or -errno. */
int group_add(const char *name, unsigned parent);
/* With the lock: it is gone, with its handle; what is charged to it has gone to the parent. */
void group_remove(unsigned slot);

/* The slot of a handle; 0 where there is no such group, or for the root. */
unsigned group_find(oomreclaim_group handle);
oomreclaim_group group_handle(unsigned slot);
unsigned group_parent(unsigned slot);
/* Whether the group is `in` or one of its descendants; all are in the root. */
bool group_is_within(unsigned slot, unsigned in);
/* "" for the root. */
const char *group_name(unsigned slot);

/* Threads inside. Enter fails where the handle is gone by now. */
bool group_try_enter(unsigned slot, oomreclaim_group handle);
void group_leave(unsigned slot);
bool group_is_busy(unsigned slot);

/* ---- Charges ---- */

/* Which group an arena's pages are charged to; 0: to none. Returns when no thread charges by the
   former one any more. */
void group_charge_arena_to(unsigned arena, unsigned slot);
unsigned group_of_arena(unsigned arena);
/* Its handle, for a thread that does not keep the group from ending: then it is the parent's. */
oomreclaim_group group_handle_of_arena(unsigned arena);

/* Pages of an arena: to its group and all of its ancestors, or to none: then group_refuser() is the
   one whose max it was, or which was cancelled (group_victim.h). */
bool group_charge(unsigned arena, size_t bytes);
/* What became of it, as in budget.h. Charges of others that are still pending count for the
   peak. */
void group_commit_charge(unsigned arena, size_t bytes);
void group_cancel_charge(unsigned arena, size_t bytes);
void group_uncharge(unsigned arena, size_t bytes);
/* All that was charged by the arena is uncharged: no thread is giving pages of it back just now,
   for which the next group would be uncharged. */
bool group_arena_is_empty(unsigned arena);
unsigned group_refuser(void);
/* While that is set, this thread's charges are not refused for a cancel. Returns what it was. */
bool group_spare(bool spare);

/* What this thread has committed above the high of a group or of an ancestor since it last looked
   (reclaim/high.h). */
extern OOM_TLS size_t group_over_high;

/* ---- Attributes and counters ---- */

void group_set_max(unsigned slot, size_t bytes);
size_t group_max(unsigned slot);
size_t group_charged(unsigned slot);
void group_set_policy(unsigned slot, enum oomreclaim_policy policy);
enum oomreclaim_policy group_policy(unsigned slot);
/* memory.high, and how far above it; that is counted each time that something is done about it. */
void group_set_high(unsigned slot, size_t bytes);
size_t group_high(unsigned slot);
size_t group_above_high(unsigned slot);
void group_count_high(unsigned slot);
void group_set_score_adj(unsigned slot, int score_adj);
int group_score_adj(unsigned slot);
void group_set_cancel_reserve(unsigned slot, bool is_set);
bool group_has_cancel_reserve(unsigned slot);
void group_set_inherit(unsigned slot, bool is_set);
bool group_has_inherit(unsigned slot);
/* Where a thread begins that is made in that group: there, or in the nearest group above that is
   inherited; 0: outside. */
unsigned group_inherited(unsigned slot);
/* What its callbacks say that they have freed. */
void group_count_reclaimed(unsigned slot, size_t bytes);
/* How far above its max. */
size_t group_excess(unsigned slot);
/* All but `allocated`, which is the heap's to know. */
void group_stats(unsigned slot, struct oomreclaim_group_stats *stats);

void group_fork_lock(void);
void group_fork_unlock(void);
/* Of the threads inside only the one that forked is left, in `slot` and where it is held
   (group_held.h); and no group is cancelled. */
void group_fork_child_in(unsigned slot);

#endif
