/* SPDX-License-Identifier: BSD-2-Clause */
/* Groups for tests of the core, by slot. */
#ifndef ADD_GROUP_H
#define ADD_GROUP_H

#include <criterion/criterion.h>

#include "limits/group.h"

static inline unsigned add_group(const char *name, unsigned parent)
{
	int slot;

	group_lock();
	slot = group_add(name, parent);
	group_unlock();
	cr_assert_gt(slot, 0);
	return (unsigned)slot;
}

/* As oomreclaim_group_destroy() does it, of a group that nobody is in. */
static inline void remove_group(unsigned slot)
{
	group_lock();
	cr_expect_not(group_is_busy(slot));
	group_remove(slot);
	group_unlock();
}

/* With so much charged, by an arena of its own: 100 for the first, 101 for the next, and so on. */
static inline unsigned add_charged_group(const char *name, unsigned parent, size_t bytes)
{
	static unsigned next_arena = 100;
	unsigned slot = add_group(name, parent);

	group_charge_arena_to(next_arena, slot);
	cr_assert(group_charge(next_arena, bytes));
	group_commit_charge(next_arena++, bytes);
	return slot;
}

#endif
