/* SPDX-License-Identifier: BSD-2-Clause */
/* All processes, and the line at the bottom. */
#include <string.h>

#include "screen_parts.h"
#include "tool.h"

int screen_colour(const struct screen *screen, enum colour which)
{
	if (screen->has_colours)
		return (int)COLOR_PAIR(which);
	return which == COLOUR_BAD ? (int)A_BOLD : (int)A_NORMAL;
}

static int line_of_head(const struct screen *screen)
{
	return screen->table.totals_count > 0 ? 2 : 1;
}

int screen_rows_for_list(const struct screen *screen)
{
	int others = line_of_head(screen) + 2;

	return LINES > others + 1 ? LINES - others : 1;
}

/* ---- What is at the bottom ---- */

static const struct hint {
	const char *key, *text;
} hints_of_list[] = {{"q", "Quit"},  {"h", "Help"},   {"/", "Filter"},  {"t", "Tree"},
                     {"<>", "Sort"}, {"I", "Invert"}, {"Enter", "Show"}},
  hints_of_process[] = {{"q", "Quit"}, {"Esc", "Back"}, {"h", "Help"}};

/* As many as fit. */
static void put_hints(const struct hint *hints, size_t count)
{
	int column = 0;

	move(LINES - 1, 0);
	for (size_t i = 0; i < count; i++) {
		int width = (int)(strlen(hints[i].key) + strlen(hints[i].text)) + 1;

		if (column + width > COLS)
			break;
		attrset(A_BOLD);
		addstr(hints[i].key);
		attrset(A_REVERSE);
		addstr(hints[i].text);
		attrset(A_NORMAL);
		addch(' ');
		column += width;
	}
}

void screen_put_bottom(const struct screen *screen)
{
	if (screen->is_filter_typed)
		mvprintw(LINES - 1, 0, "Filter: %s_", screen->order.filter);
	else if (screen->mode == MODE_LIST)
		put_hints(hints_of_list, COUNT(hints_of_list));
	else
		put_hints(hints_of_process, COUNT(hints_of_process));
}

/* ---- All processes ---- */

static void put_head(const struct screen *screen, const bool is_shown[COLUMNS_COUNT])
{
	attrset(A_REVERSE);
	mvprintw(line_of_head(screen), 0, "%*s", COLS, "");
	move(line_of_head(screen), 0);
	for (enum column i = 0; i < COLUMNS_COUNT; i++) {
		if (!is_shown[i])
			continue;
		attrset(i == screen->order.by ? (int)A_BOLD : (int)A_REVERSE);
		printw(i == COLUMN_COMMAND ? "%-*s" : "%*s", column_width(i), column_head(i));
		attrset(A_REVERSE);
		if (i != COLUMN_COMMAND)
			addch(' ');
	}
	attrset(A_NORMAL);
}

static int colour_of(const struct screen *screen, enum column column, const struct row *row)
{
	int share = row_share(row);

	if ((column == COLUMN_REFUSED && row->stats.refused > 0) ||
	    (column == COLUMN_KILLS && row->stats.kills > 0) ||
	    (column == COLUMN_SHARE && share >= 90))
		return screen_colour(screen, COLOUR_BAD);
	if (column == COLUMN_SHARE && share >= 75)
		return screen_colour(screen, COLOUR_WARNING);
	if (column == COLUMN_SHARE && share >= 0)
		return screen_colour(screen, COLOUR_GOOD);
	return (int)A_NORMAL;
}

static void put_row(const struct screen *screen, int y, const struct row *row,
                    const bool is_shown[COLUMNS_COUNT])
{
	int reverse =
		screen->has_keys && row->pid == screen->selected ? (int)A_REVERSE : (int)A_NORMAL;
	char text[COMMAND_BYTES];

	move(y, 0);
	for (enum column i = 0; i < COLUMNS_COUNT; i++) {
		if (!is_shown[i])
			continue;
		column_text(i, row, text, sizeof text);
		attrset(reverse | colour_of(screen, i, row));
		if (i != COLUMN_COMMAND) {
			printw("%*s", column_width(i), text);
			attrset(reverse);
			addch(' ');
			continue;
		}
		if (screen->order.is_tree && row->depth > 0)
			printw("%*s", (int)(2 * row->depth), "`-");
		addnstr(text, COLS - getcurx(stdscr));
	}
	attrset(A_NORMAL);
}

int screen_selected_row(const struct screen *screen)
{
	for (size_t i = 0; i < screen->table.count; i++)
		if (screen->table.rows[i].pid == screen->selected)
			return (int)i;
	return 0;
}

static void put_summary(const struct screen *screen)
{
	const struct table *table = &screen->table;

	mvprintw(0, 0, "%zu process%s by %s%s%s%s: %s charged, %llu failed, %llu refused",
	         table->count, table->count == 1 ? "" : "es", screen->order.is_inverted ? "-" : "",
	         column_head(screen->order.by), screen->order.filter[0] != '\0' ? " with " : "",
	         screen->order.filter, tool_size(table->charged),
	         (unsigned long long)table->failures, (unsigned long long)table->refused);
}

/* In per cent. A process has written the figures: no limit may be there, or what no int holds. */
static int share_of(const struct total_figures *total)
{
	double share = total->limit > 0 ? (double)total->charged / (double)total->limit * 100 : 999;

	return share < 999 ? (int)share : 999;
}

static void put_more(size_t count)
{
	char text[32];
	int width = snprintf(text, sizeof text, "and %zu more", count);

	if (getcurx(stdscr) + width <= COLS)
		addstr(text);
}

/* As many as fit. */
static void put_totals(const struct screen *screen)
{
	move(1, 0);
	for (size_t i = 0; i < screen->table.totals_count; i++) {
		const struct total_figures *total = &screen->table.totals[i];
		int share = share_of(total);
		char text[80];
		int width = snprintf(text, sizeof text, "Total %s of %s, %d%%, %llu processes   ",
		                     tool_size(total->charged), tool_size(total->limit), share,
		                     (unsigned long long)total->processes);

		if (i > 0 && getcurx(stdscr) + width > COLS) {
			put_more(screen->table.totals_count - i);
			break;
		}
		attrset(screen_colour(screen, share >= 90   ? COLOUR_BAD
		                              : share >= 75 ? COLOUR_WARNING
		                                            : COLOUR_GOOD));
		addnstr(text, COLS);
		attrset(A_NORMAL);
	}
}

void screen_put_list(struct screen *screen)
{
	bool is_shown[COLUMNS_COUNT];
	int selected, rows = screen_rows_for_list(screen);
	const int first = line_of_head(screen) + 1;

	table_columns(COLS, screen->order.is_tree, is_shown);
	put_summary(screen);
	put_totals(screen);
	put_head(screen, is_shown);
	if (screen->table.count == 0) {
		mvaddnstr(first, 0,
		          screen->order.filter[0] != '\0'
		                  ? "no process with that in its command"
		                  : "no process shares statistics: oomreclaim run --stats",
		          COLS);
		return;
	}
	selected = screen_selected_row(screen);
	screen->selected = screen->table.rows[selected].pid;
	if (selected < screen->first_line)
		screen->first_line = selected;
	if (selected >= screen->first_line + rows)
		screen->first_line = selected - rows + 1;
	for (int i = 0; i < rows && screen->first_line + i < (int)screen->table.count; i++)
		put_row(screen, first + i, &screen->table.rows[screen->first_line + i], is_shown);
}
