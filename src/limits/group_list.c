/* SPDX-License-Identifier: BSD-2-Clause */
#include "limits/group_list.h"

#include <string.h>

#include "limits/group_inside.h"
#include "limits/group_low.h"

/* Whether `slot`, which is not a line yet, belongs before the line. What is charged to a group is
   charged to its parent: so that one comes first, and is kept where there is no room for both. */
static bool is_before(unsigned slot, size_t charged, const struct group_line *line)
{
	if (charged != line->stats.charged)
		return charged > line->stats.charged;
	return groups[slot].depth < groups[line->slot].depth;
}

static void put_line(struct group_line *line, unsigned slot, size_t charged)
{
	memcpy(line->name, groups[slot].name, sizeof line->name);
	line->handle = group_handle(slot);
	line->slot = slot;
	line->parent = groups[slot].parent;
	line->policy = group_policy(slot);
	line->score_adj = group_score_adj(slot);
	line->is_cancelled = group_is_marked(slot, GROUP_CANCELLED);
	line->max = group_max(slot);
	line->high = group_high(slot);
	line->low = group_low(slot);
	line->min = group_min(slot);
	group_stats(slot, &line->stats);
	/* As it was when its place was looked for. */
	line->stats.charged = charged;
}

/* By charge; the last one goes where there is no room. Returns how many there are then. */
static unsigned insert(struct group_line *lines, unsigned used, unsigned count, unsigned slot)
{
	size_t charged = group_charged(slot);
	unsigned at = used;

	while (at > 0 && is_before(slot, charged, &lines[at - 1]))
		at--;
	if (at == count)
		return used;
	if (used == count)
		used--;
	memmove(&lines[at + 1], &lines[at], (used - at) * sizeof *lines);
	put_line(&lines[at], slot, charged);
	return used + 1;
}

/* The first line from `from` on that is a child of `parent`. */
static unsigned find_child(const struct group_line *lines, unsigned from, unsigned used,
                           unsigned parent)
{
	while (from < used && lines[from].parent != parent)
		from++;
	return from;
}

static void move_to(struct group_line *lines, unsigned to, unsigned from)
{
	struct group_line line = lines[from];

	memmove(&lines[to + 1], &lines[to], (from - to) * sizeof *lines);
	lines[to] = line;
}

/* What is charged changes meanwhile: a child may be there, and its parent not. It is left out then.
   Returns how many are in their places. */
static unsigned make_tree(struct group_line *lines, unsigned used, unsigned top, unsigned depth)
{
	unsigned placed = 0, at = top, next;

	while (placed < used) {
		next = find_child(lines, placed, used, at);
		if (next == used && at == top)
			break;
		if (next == used) {
			at = groups[at].parent;
			continue;
		}
		move_to(lines, placed, next);
		at = lines[placed].slot;
		lines[placed++].depth = groups[at].depth - depth;
	}
	return placed;
}

unsigned group_lines(unsigned in, struct group_line *lines, unsigned count, unsigned *total)
{
	unsigned used = 0;

	*total = 0;
	/* There is none. */
	if (atomic_load_explicit(&groups[0].children, memory_order_relaxed) == 0)
		return 0;
	group_lock();
	for (unsigned slot = 1; slot < group_slots_used(); slot++)
		if (group_handle(slot) != 0 && group_is_within(slot, in)) {
			++*total;
			used = insert(lines, used, count, slot);
		}
	used = make_tree(lines, used, groups[in].parent, in != 0 ? groups[in].depth : 1);
	group_unlock();
	return used;
}

void group_put_path(struct io_buf *buf, unsigned slot)
{
	unsigned way[OOMRECLAIM_GROUP_DEPTH_MAX], depth = 0;

	if (slot == 0)
		io_printf(buf, "/");
	group_lock();
	for (; slot != 0 && depth < OOMRECLAIM_GROUP_DEPTH_MAX; slot = groups[slot].parent)
		way[depth++] = slot;
	while (depth > 0) {
		io_printf(buf, "/");
		io_puts_clean(buf, groups[way[--depth]].name);
	}
	group_unlock();
}
