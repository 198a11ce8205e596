/* SPDX-License-Identifier: BSD-2-Clause */
/* Groups as a list, for those that show them. */
#ifndef OOM_GROUP_LIST_H
#define OOM_GROUP_LIST_H

#include "base/io.h"
#include "limits/group.h"

struct group_line {
	char name[OOMRECLAIM_GROUP_NAME_MAX + 1];
	oomreclaim_group handle;
	unsigned slot, parent;
	unsigned depth; /* below what was asked for, which is at 0, as are the root's children */
	enum oomreclaim_policy policy;
	int score_adj;
	bool is_cancelled;
	size_t max, high; /* SIZE_MAX: none */
	size_t low, min;
	struct oomreclaim_group_stats stats; /* all but `allocated` */
};

/* The group `in` and its descendants, or all of them where that is the root: those with the most
   charged, at most `count`. A parent stands before its children, which are in the order of their
   charge; none is there without its parent. Returns how many are in `lines`; *total is how many
   there are. Takes group_lock(). */
unsigned group_lines(unsigned in, struct group_line *lines, unsigned count, unsigned *total);

/* Where it lies: "/tenants/job"; "/" for the root. Takes group_lock(). */
void group_put_path(struct io_buf *buf, unsigned slot);

#endif
