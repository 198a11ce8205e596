/* SPDX-License-Identifier: BSD-2-Clause */
#include "reclaim/outside.h"

#include "base/base.h"
#include "heap/heap_ops.h"
#include "limits/group.h"

struct outside outside_begin(void)
{
	struct outside outside = {.was = heap_ops.group_current(), .outer = group_held};

	if (outside.was != 0 && !heap_ops.group_enter(0))
		outside.was = 0;
	if (outside.was != 0)
		group_held.aside = outside.was;
	return outside;
}

/* A callback may have entered another group, and stayed: then the thread leaves that group too. */
static void go_back(void)
{
	unsigned to = group_held.aside, now = heap_ops.group_current(), left = now;

	if (!heap_ops.group_enter(to))
		left = to;
	if (left != 0)
		group_leave(left);
	group_held.aside = 0;
}

void outside_end(const struct outside *outside)
{
	/* Not where it was abandoned, by a jump to another stack that came back. */
	if (outside->was == 0 || group_held.aside != outside->was)
		return;
	go_back();
	group_held.aside = outside->outer.aside;
}

void outside_abandon(void)
{
	if (group_held.aside != 0)
		go_back();
	group_held_release();
}
