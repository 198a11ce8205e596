/* SPDX-License-Identifier: BSD-2-Clause */
/* Groups as a list: a tree in the order of its charges, of which the largest part is shown. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "add_group.h"
#include "limits/group_list.h"
#include "support.h"

TestSuite(group_list, .init = support_init, .timeout = WATCHDOG_SECONDS);

#define LINES 8

static struct group_line lines[LINES + 1];
static unsigned total;

/* With an arena of its own, of which so much is charged. */
/* The names in order, each behind as many dots as it is deep. */
static const char *listed(unsigned in, unsigned count)
{
	static char text[1024];
	struct io_buf buf = {.text = text, .bytes = sizeof text};
	unsigned used;

	memset(lines, 0xff, sizeof lines);
	text[0] = '\0';
	used = group_lines(in, lines, count, &total);
	cr_assert_leq(used, count);
	for (unsigned i = 0; i < used; i++)
		io_printf(&buf, "%s%s%s", i > 0 ? " " : "",
		          &"................"[16 - lines[i].depth], lines[i].name);
	/* Nothing is written behind the room there is. */
	cr_expect_eq(lines[count].slot, UINT32_MAX);
	return text;
}

Test(group_list, none)
{
	unsigned slot;

	cr_expect_str_eq(listed(0, LINES), "");
	cr_expect_eq(total, 0);
	slot = add_charged_group("gone", 0, 0);
	remove_group(slot);
	cr_expect_str_eq(listed(0, LINES), "");
	add_charged_group("there", 0, 0);
	cr_expect_str_eq(listed(0, LINES), "there");
}

Test(group_list, by_charge_and_a_parent_first)
{
	unsigned a = add_charged_group("a", 0, 10), b = add_charged_group("b", 0, 5), in_b;

	add_charged_group("a1", a, 100);
	add_charged_group("a2", a, 200);
	in_b = add_charged_group("b1", b, 1000);
	add_charged_group("deep", in_b, 1);
	cr_expect_str_eq(listed(0, LINES), "b .b1 ..deep a .a2 .a1");
	cr_expect_eq(total, 6);
	cr_expect_eq(lines[0].stats.charged, 1006);
	cr_expect_eq(lines[0].stats.own, 5);
	cr_expect_eq(lines[3].stats.charged, 310);
	cr_expect_eq(lines[1].parent, b);
	cr_expect_eq(lines[1].handle, group_handle(in_b));
}

Test(group_list, a_part_of_the_tree)
{
	unsigned a = add_charged_group("a", 0, 10), b = add_charged_group("b", a, 5);

	add_charged_group("c", b, 7);
	add_charged_group("other", 0, 5000);
	add_charged_group("d", b, 9);
	cr_expect_str_eq(listed(b, LINES), "b .d .c");
	cr_expect_eq(total, 3);
}

/* Those with the most, and with each its ancestors, though these have no more than it has. */
Test(group_list, more_than_there_is_room_for)
{
	unsigned parent = add_charged_group("parent", 0, 0),
		 child = add_charged_group("child", parent, 0);

	for (unsigned i = 0; i < 100; i++)
		add_charged_group("small", i % 2 == 0 ? 0 : parent, 1);
	add_charged_group("most", child, 4000);
	add_charged_group("more", 0, 3000);
	cr_expect_str_eq(listed(0, 4), "parent .child ..most more");
	cr_expect_eq(total, 104);
	cr_expect_str_eq(listed(0, 2), "parent .child");
	cr_expect_str_eq(listed(0, 0), "");
	cr_expect_eq(total, 104);
}

Test(group_list, what_is_set)
{
	unsigned slot = add_charged_group("set", 0, 10);

	group_set_policy(slot, OOMRECLAIM_POLICY_ABORT);
	group_set_score_adj(slot, -7);
	listed(0, LINES);
	cr_expect_eq(lines[0].max, SIZE_MAX);
	group_set_max(slot, 5000);
	listed(0, LINES);
	cr_expect_eq(lines[0].max, 5000);
	cr_expect_eq(lines[0].policy, OOMRECLAIM_POLICY_ABORT);
	cr_expect_eq(lines[0].score_adj, -7);
	cr_expect_not(lines[0].is_cancelled);
}

Test(group_list, where_it_lies)
{
	unsigned slot = 0;
	char text[1024];
	struct io_buf buf = {.text = text, .bytes = sizeof text};

	group_put_path(&buf, 0);
	cr_expect_str_eq(text, "/");
	buf.used = 0;
	group_put_path(&buf, add_charged_group("b\x1b", add_charged_group("a", 0, 0), 0));
	cr_expect_str_eq(text, "/a/b?");
	buf.used = 0;
	for (int i = 0; i < OOMRECLAIM_GROUP_DEPTH_MAX; i++)
		slot = add_charged_group("deep", slot, 0);
	group_put_path(&buf, slot);
	cr_expect_eq(strlen(text), 5 * OOMRECLAIM_GROUP_DEPTH_MAX);
}
