/* SPDX-License-Identifier: BSD-2-Clause */
#include "limits/group_held.h"

#include <stddef.h>

#include "limits/group.h"

/* Per thread: what it is counted for is its own doing. */
OOM_TLS struct group_held group_held;

unsigned group_held_in(unsigned slot)
{
	unsigned times = group_held.aside == slot;

	if (group_held.beginning != NULL)
		times += *group_held.beginning == slot;
	return slot != 0 ? times : 0;
}

static void drop(unsigned *slot)
{
	if (*slot != 0)
		group_leave(*slot);
	*slot = 0;
}

void group_held_release(void)
{
	drop(&group_held.aside);
	if (group_held.beginning != NULL)
		drop(group_held.beginning);
	group_held.beginning = NULL;
}
