/* SPDX-License-Identifier: BSD-2-Clause */
/* For tests of what happens between two looks at a group. */
#ifndef PROTECT_TABLE_H
#define PROTECT_TABLE_H

#include <criterion/criterion.h>

#include <sys/mman.h>

#include "limits/group_inside.h"

/* There is a group already. A thread that may not do what it does to the table gets SIGSEGV. */
static inline void protect_table(int protection)
{
	cr_assert_eq(mprotect(groups, GROUP_SLOTS * sizeof(struct group), protection), 0);
}

#endif
