/* SPDX-License-Identifier: BSD-2-Clause */
#include "screen.h"

#ifndef OOM_HAVE_NCURSES
bool screen_watch(const struct watch *watch, const volatile sig_atomic_t *is_ended,
                  enum page_error *error)
{
	(void)watch, (void)is_ended, (void)error;
	return false;
}
#else

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "screen_parts.h"
#include "tool.h"

static enum page_error draw(struct screen *screen)
{
	enum page_error error = PAGE_OK;

	erase();
	if (screen->mode == MODE_HELP)
		screen_put_help(screen);
	else if (screen->mode == MODE_PROCESS)
		error = screen_put_process(screen);
	else
		screen_put_list(screen);
	screen_put_bottom(screen);
	refresh();
	return error;
}

/* Until the next frame is due, or *is_ended; keys are shown at once. True when it is to end. */
static bool wait_for_keys(struct screen *screen, const volatile sig_atomic_t *is_ended)
{
	int64_t due = tool_now_ms() + screen->watch->delay_ms, left;

	while (!*is_ended && (left = due - tool_now_ms()) > 0) {
		struct pollfd in = {.fd = screen->has_keys ? STDIN_FILENO : -1, .events = POLLIN};
		bool is_new = false;
		int key;

		if (poll(&in, 1, (int)left) > 0 && (in.revents & POLLIN) == 0)
			return true;
		while ((key = getch()) != ERR) {
			if (screen_take_key(screen, key))
				return true;
			is_new = true;
		}
		/* A terminal that has gone says so by being readable, with nothing in it. */
		if (!is_new && (in.revents & POLLHUP) != 0)
			return true;
		if (!is_new)
			continue;
		if (screen->mode == MODE_LIST)
			table_read(&screen->table, &screen->order);
		draw(screen);
	}
	return *is_ended != 0;
}

static enum page_error show_all(struct screen *screen, const volatile sig_atomic_t *is_ended)
{
	for (long frames = 0; !*is_ended;) {
		enum page_error error;

		if (screen->mode == MODE_LIST)
			table_read(&screen->table, &screen->order);
		error = draw(screen);
		/* One of the list has ended: the list has the others. */
		if (error != PAGE_OK && screen->watch->pid == 0)
			screen_go_back(screen);
		else if (error != PAGE_OK)
			return error;
		if (++frames == screen->watch->count || wait_for_keys(screen, is_ended))
			break;
	}
	return PAGE_OK;
}

static void begin(struct screen *screen)
{
	const char *no_colour = getenv("NO_COLOR");

	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(50);
	curs_set(0);
	/* Any but an empty one: no-color.org. */
	screen->has_colours = (no_colour == NULL || no_colour[0] == '\0') && has_colors() &&
	                      start_color() == OK && use_default_colors() == OK;
	if (screen->has_colours) {
		init_pair(COLOUR_GOOD, COLOR_GREEN, -1);
		init_pair(COLOUR_WARNING, COLOR_YELLOW, -1);
		init_pair(COLOUR_BAD, COLOR_RED, -1);
	}
}

bool screen_watch(const struct watch *watch, const volatile sig_atomic_t *is_ended,
                  enum page_error *error)
{
	SCREEN *terminal = newterm(NULL, stdout, stdin);
	struct screen screen = {.watch = watch,
	                        .mode = watch->pid == 0 ? MODE_LIST : MODE_PROCESS,
	                        .pid = watch->pid,
	                        .has_keys = isatty(STDIN_FILENO),
	                        .order = {.by = COLUMN_CHARGED}};

	if (terminal == NULL)
		return false;
	begin(&screen);
	*error = show_all(&screen, is_ended);
	endwin();
	delscreen(terminal);
	free(screen.table.rows);
	return true;
}
#endif
