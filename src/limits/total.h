/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The limit that all processes below `oomreclaim run --total` share: see total_layout.h.
 *
 * A charge is first pending, and becomes one when the sum of all slots has room for it. Two that
 * are pending at once both see each other, so that never both are charged where there is room for
 * one; then both stand back and try again. Without a total each call here is one test of a pointer.
 */
#ifndef OOM_TOTAL_H
#define OOM_TOTAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "limits/total_layout.h"

/* On a page of its own that no child of a fork() has: until that child has its own slot it is
   without a total. So is a copy made by clone(2), for ever. */
struct total_own {
	struct total_slot *slot;
};
extern struct total_own *total_own; /* NULL: there never was a total */

static inline struct total_slot *total_slot(void)
{
	return __builtin_expect(total_own != NULL, 0) ? total_own->slot : NULL;
}

/* Looks for the total that the environment names, once, and takes a slot. Before the first
   mapping. */
void total_join(void);

/* Why this process goes on without the total that it should have; NULL: it has it, or there is
   none. Each reason is returned once. */
const char *total_problem(void);

/* True if there is room for that much more, which is set aside until total_end(). */
bool total_begin(size_t bytes);
void total_end(size_t bytes, bool is_charged);
void total_uncharge(size_t bytes);

/* The bytes that may still be charged; SIZE_MAX without a total. */
size_t total_room(void);
/* No request above it can succeed; SIZE_MAX without a total. */
size_t total_max_bytes(void);

/* The slots of processes that have ended are free again. Not more often than each few milliseconds,
   unless it is forced. Reads files, and changes neither errno nor what a thread may be cancelled
   at. */
void total_reap(bool is_forced);

/* True for a process that has a slot in this one's total, and without a total for each. */
bool total_has(int pid, uint64_t start_time);

void total_figures(struct total_figures *figures);

/* In the child, before oomreclaimd is looked at. */
void total_fork_child(void);

#endif
