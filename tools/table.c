/* SPDX-License-Identifier: BSD-2-Clause */
#include "table.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "page.h"
#include "tool.h"
#include "view.h"

#define COMMAND_LEAST 14

/* In the order in which they are left out where it is narrow, the last first; 0 never is. */
static const struct {
	const char *head;
	int width;
	int rank;
} columns[COLUMNS_COUNT] = {
	[COLUMN_PID] = {"PID", 7, 0},           [COLUMN_TREE] = {"TREE", 7, 0},
	[COLUMN_CHARGED] = {"CHARGED", 7, 0},   [COLUMN_SHARE] = {"LIM%", 4, 1},
	[COLUMN_REFUSED] = {"REFUSED", 7, 2},   [COLUMN_LIMIT] = {"LIMIT", 7, 3},
	[COLUMN_LEFT] = {"LEFT", 6, 4},         [COLUMN_FAILED] = {"FAILED", 7, 5},
	[COLUMN_RESIDENT] = {"RESIDENT", 8, 6}, [COLUMN_KILLS] = {"KILLS", 5, 7},
	[COLUMN_LAST] = {"LAST", 10, 8},        [COLUMN_ALLOCATED] = {"ALLOCATED", 9, 9},
	[COLUMN_COMMAND] = {"COMMAND", 0, 0},
};

const char *column_head(enum column column)
{
	return columns[column].head;
}

int column_width(enum column column)
{
	return columns[column].width;
}

void table_columns(int width, bool is_tree, bool is_shown[COLUMNS_COUNT])
{
	for (int rank = COLUMNS_COUNT; rank >= 0; rank--) {
		int needed = COMMAND_LEAST;

		for (int i = 0; i < COLUMNS_COUNT; i++) {
			is_shown[i] = columns[i].rank <= rank && (is_tree || i != COLUMN_TREE);
			if (is_shown[i] && i != COLUMN_COMMAND)
				needed += columns[i].width + 1;
		}
		if (needed <= width)
			return;
	}
}

int row_share(const struct row *row)
{
	if (row->stats.limit == UINT64_MAX || row->stats.limit == 0)
		return -1;
	return (int)((double)row->stats.charged / (double)row->stats.limit * 100);
}

static uint64_t number_in(enum column column, const struct row *row)
{
	switch (column) {
	case COLUMN_PID:
		return (uint64_t)row->pid;
	case COLUMN_TREE:
		return row->tree_charged;
	case COLUMN_CHARGED:
		return row->stats.charged;
	case COLUMN_SHARE:
		/* Without a limit it is the least. */
		return (uint64_t)row_share(row) + 1;
	case COLUMN_LIMIT:
		return row->stats.limit;
	case COLUMN_LEFT:
		return row->left_s;
	case COLUMN_RESIDENT:
		return row->stats.heap_resident;
	case COLUMN_ALLOCATED:
		return row->stats.heap_allocated;
	case COLUMN_FAILED:
		return row->stats.failures;
	case COLUMN_REFUSED:
		return row->stats.refused;
	case COLUMN_KILLS:
		return row->stats.kills;
	default:
		return 0;
	}
}

void column_text(enum column column, const struct row *row, char *text, size_t bytes)
{
	uint64_t number = number_in(column, row);

	switch (column) {
	case COLUMN_COMMAND:
		snprintf(text, bytes, "%s", row->command);
		break;
	case COLUMN_LAST:
		snprintf(text, bytes, "%s", view_outcome(row->stats.last_outcome));
		break;
	case COLUMN_LEFT:
		snprintf(text, bytes, "%s", view_time(number));
		break;
	case COLUMN_SHARE:
		snprintf(text, bytes, number == 0 ? "-" : "%d%%", row_share(row));
		break;
	case COLUMN_PID:
	case COLUMN_FAILED:
	case COLUMN_REFUSED:
	case COLUMN_KILLS:
		snprintf(text, bytes, "%" PRIu64, number);
		break;
	default:
		snprintf(text, bytes, "%s", tool_limit(number));
	}
}

/* ---- Reading ---- */

/* Without the directory, which is the longest part and says least. */
static void drop_directory(char *command)
{
	char *word = command + strcspn(command, " "), *end = word;

	while (word > command && word[-1] != '/')
		word--;
	if (word < end)
		memmove(command, word, strlen(word) + 1);
}

/* With its arguments; its name alone where there is nothing else. */
static void read_command(pid_t pid, char command[COMMAND_BYTES])
{
	char path[64];
	ssize_t bytes;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	bytes = fd >= 0 ? read(fd, command, COMMAND_BYTES - 1) : -1;
	if (fd >= 0)
		close(fd);
	while (bytes > 0 && command[bytes - 1] == '\0')
		bytes--;
	if (bytes <= 0) {
		page_comm(pid, command);
		return;
	}
	command[bytes] = '\0';
	for (ssize_t i = 0; i < bytes; i++)
		if (command[i] == '\0')
			command[i] = ' ';
	tool_clean(command);
	drop_directory(command);
}

/* Each process's page has the sum as it was when that page was written. */
static void keep_total(struct table *table, const struct stats_page *page)
{
	size_t i = 0;

	while (i < table->totals_count && table->totals[i].id != page->total.id)
		i++;
	if (page->total.id == 0 || i == TOTALS_MAX ||
	    (i < table->totals_count && table->totals_ns[i] > page->updated_ns))
		return;
	table->totals[i] = page->total;
	table->totals_ns[i] = page->updated_ns;
	table->totals_count += i == table->totals_count;
}

static void keep(pid_t pid, const struct stats_page *page, void *arg)
{
	struct table *table = arg;
	struct row *grown = realloc(table->rows, (table->count + 1) * sizeof *grown), *row;

	keep_total(table, page);
	if (grown == NULL)
		return;
	table->rows = grown;
	row = &grown[table->count++];
	*row = (struct row){.pid = pid,
	                    .stats = page->stats,
	                    .left_s = view_left_s(page),
	                    .parent = SIZE_MAX};
	read_command(pid, row->command);
}

static void filter(struct table *table, const char *wanted)
{
	size_t kept = 0;

	for (size_t i = 0; i < table->count; i++)
		if (strcasestr(table->rows[i].command, wanted) != NULL)
			table->rows[kept++] = table->rows[i];
	table->count = kept;
}

/* ---- Order ---- */

/* qsort() has no argument for it. */
static struct order order_now;

static int compare(const void *a, const void *b)
{
	const struct row *one = a, *other = b;
	uint64_t first = number_in(order_now.by, one), second = number_in(order_now.by, other);
	int result = 0;

	if (order_now.by == COLUMN_COMMAND)
		result = strcmp(one->command, other->command);
	else if (order_now.by == COLUMN_LAST)
		result = strcmp(view_outcome(one->stats.last_outcome),
		                view_outcome(other->stats.last_outcome));
	else if (order_now.by == COLUMN_PID || order_now.by == COLUMN_LEFT)
		result = (first > second) - (first < second);
	else /* of what is counted, the most */
		result = (second > first) - (second < first);
	if (result == 0)
		return (one->pid > other->pid) - (one->pid < other->pid);
	return order_now.is_inverted ? -result : result;
}

static size_t find(const struct table *table, pid_t pid)
{
	size_t i = 0;

	while (i < table->count && table->rows[i].pid != pid)
		i++;
	return i < table->count ? i : SIZE_MAX;
}

static bool is_row(pid_t pid, const void *table)
{
	return find(table, pid) != SIZE_MAX;
}

static void find_parents(struct table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		size_t found = find(table, page_ancestor(table->rows[i].pid, is_row, table));

		table->rows[i].parent = found == i ? SIZE_MAX : found;
	}
}

static void add_up(struct table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		size_t at = i;

		for (unsigned level = 0; at != SIZE_MAX && level < PAGE_LEVELS_MAX; level++) {
			table->rows[at].tree_charged += table->rows[i].stats.charged;
			at = table->rows[at].parent;
		}
	}
}

/* The next row from `from` on that is right below `parent`; SIZE_MAX: none. */
static size_t next_below(const struct table *table, size_t parent, size_t from)
{
	while (from < table->count && table->rows[from].parent != parent)
		from++;
	return from < table->count ? from : SIZE_MAX;
}

/* In the order of the rows, what is below each behind it; returns how many are placed. What is
   deeper than there are levels is left out. */
static size_t place(const struct table *table, struct row *placed)
{
	struct {
		size_t parent, from;
	} level[PAGE_LEVELS_MAX] = {{SIZE_MAX, 0}};
	size_t count = 0, row;
	unsigned depth = 0;

	while (count < table->count) {
		row = next_below(table, level[depth].parent, level[depth].from);
		if (row == SIZE_MAX && depth == 0)
			break;
		if (row == SIZE_MAX) {
			depth--;
			continue;
		}
		placed[count] = table->rows[row];
		placed[count++].depth = depth;
		level[depth].from = row + 1;
		if (depth + 1 < PAGE_LEVELS_MAX) {
			level[++depth].parent = row;
			level[depth].from = 0;
		}
	}
	return count;
}

static void make_tree(struct table *table)
{
	struct row *placed = calloc(table->count + 1, sizeof *placed);

	if (placed == NULL)
		return;
	/* Of two processes each may have been found above the other: then neither is placed. */
	table->count = place(table, placed);
	free(table->rows);
	table->rows = placed;
}

static void sort(struct table *table, const struct order *order)
{
	order_now = *order;
	if (table->count > 1)
		qsort(table->rows, table->count, sizeof *table->rows, compare);
}

void table_read(struct table *table, const struct order *order)
{
	free(table->rows);
	*table = (struct table){.rows = NULL};
	page_walk(keep, table);
	filter(table, order->filter);
	for (size_t i = 0; i < table->count; i++) {
		table->charged += table->rows[i].stats.charged;
		table->failures += table->rows[i].stats.failures;
		table->refused += table->rows[i].stats.refused;
	}
	if (order->is_tree && order->by == COLUMN_TREE) {
		find_parents(table);
		add_up(table);
	}
	sort(table, order);
	if (order->is_tree) {
		/* They are numbers of rows, which have moved. */
		find_parents(table);
		for (size_t i = 0; i < table->count; i++)
			table->rows[i].tree_charged = 0;
		add_up(table);
		make_tree(table);
	}
}
