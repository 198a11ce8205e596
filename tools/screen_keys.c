/* SPDX-License-Identifier: BSD-2-Clause */
/* What the keys do. */
#include <string.h>

#include "screen_parts.h"

#define KEY_ESCAPE 27
#define KEY_CONTROL_C 3
#define KEY_CONTROL_L 12

/* ---- Keys ---- */

static void type_filter(struct screen *screen, int key)
{
	size_t length = strlen(screen->order.filter);

	if (key == '\r' || key == KEY_ESCAPE) {
		screen->is_filter_typed = false;
		if (key == KEY_ESCAPE)
			screen->order.filter[0] = '\0';
	} else if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && length > 0) {
		screen->order.filter[length - 1] = '\0';
	} else if (key >= ' ' && key <= '~' && length + 1 < FILTER_BYTES) {
		screen->order.filter[length] = (char)key;
		screen->order.filter[length + 1] = '\0';
	}
}

/* To the next column that is shown, forth or back. */
static void sort_beside(struct screen *screen, int step)
{
	bool is_shown[COLUMNS_COUNT];
	int by = (int)screen->order.by;

	table_columns(COLS, screen->order.is_tree, is_shown);
	do
		by = (by + step + COLUMNS_COUNT) % COLUMNS_COUNT;
	while (!is_shown[by]);
	screen->order.by = (enum column)by;
}

static void select_row(struct screen *screen, int step)
{
	int row = screen_selected_row(screen) + step, last = (int)screen->table.count - 1;

	if (screen->mode != MODE_LIST)
		screen->first_line += step;
	else if (last >= 0)
		screen->selected = screen->table.rows[row < 0 ? 0 : row > last ? last : row].pid;
}

static bool take_motion(struct screen *screen, int key)
{
	switch (key) {
	case KEY_UP:
	case 'k':
		select_row(screen, -1);
		return true;
	case KEY_DOWN:
	case 'j':
		select_row(screen, 1);
		return true;
	case KEY_PPAGE:
		select_row(screen, -screen_rows_for_list(screen));
		return true;
	case KEY_NPAGE:
		select_row(screen, screen_rows_for_list(screen));
		return true;
	case KEY_HOME:
		select_row(screen, -(int)screen->table.count);
		return true;
	case KEY_END:
		select_row(screen, (int)screen->table.count);
		return true;
	default:
		return false;
	}
}

static void take_list_key(struct screen *screen, int key)
{
	switch (key) {
	case '<':
	case '>':
		sort_beside(screen, key == '<' ? -1 : 1);
		break;
	case 'M':
		screen->order.by = COLUMN_CHARGED;
		break;
	case 'N':
		screen->order.by = COLUMN_PID;
		break;
	case 'I':
		screen->order.is_inverted = !screen->order.is_inverted;
		break;
	case 't':
	case KEY_F(5):
		screen->order.is_tree = !screen->order.is_tree;
		if (screen->order.by == COLUMN_TREE)
			screen->order.by = COLUMN_CHARGED;
		break;
	case '/':
	case '\\':
	case KEY_F(4):
		screen->is_filter_typed = true;
		break;
	case KEY_ESCAPE:
		screen->order.filter[0] = '\0';
		break;
	case '\r':
		screen->pid = screen->selected;
		screen->mode = screen->pid != 0 ? MODE_PROCESS : MODE_LIST;
		screen->first_line = 0;
		break;
	default:
		break;
	}
}

/* Back to where one was; the process that the command line names is the beginning. */
void screen_go_back(struct screen *screen)
{
	screen->mode = screen->mode == MODE_HELP ? screen->before_help
	               : screen->watch->pid == 0 ? MODE_LIST
	                                         : MODE_PROCESS;
	screen->first_line = 0;
}

/* True when the user wants no more. */
bool screen_take_key(struct screen *screen, int key)
{
	/* What was typed before the terminal had its mode comes as a line feed. */
	if (key == '\n' || key == KEY_ENTER)
		key = '\r';
	if (screen->is_filter_typed && key != KEY_CONTROL_C && key != KEY_RESIZE) {
		type_filter(screen, key);
		return false;
	}
	if (key == 'q' || key == 'Q' || key == KEY_F(10) || key == KEY_CONTROL_C)
		return true;
	if (key == KEY_CONTROL_L)
		clearok(curscr, TRUE);
	if (take_motion(screen, key))
		return false;
	if (screen->mode != MODE_HELP && (key == 'h' || key == '?' || key == KEY_F(1))) {
		screen->before_help = screen->mode;
		screen->mode = MODE_HELP;
		screen->first_line = 0;
	} else if (screen->mode == MODE_LIST) {
		take_list_key(screen, key);
	} else if (key == KEY_ESCAPE || key == '\r' ||
	           (screen->mode == MODE_HELP && key != KEY_RESIZE)) {
		screen_go_back(screen);
	}
	return false;
}
