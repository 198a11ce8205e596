/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of screen.c, for ncurses: state, what is drawn from it, and what keys do to it. */
#ifndef SCREEN_PARTS_H
#define SCREEN_PARTS_H

#include <ncurses.h>

#include "screen.h"
#include "table.h"

enum colour { COLOUR_NONE, COLOUR_GOOD, COLOUR_WARNING, COLOUR_BAD };

enum mode { MODE_LIST, MODE_PROCESS, MODE_HELP };

struct screen {
	const struct watch *watch;
	enum mode mode, before_help;
	pid_t pid;      /* of the process that is looked at, */
	pid_t selected; /* and of the one in the list */
	int first_line; /* that is shown of what is longer than the screen */
	bool is_filter_typed;
	bool has_colours, has_keys;
	struct order order;
	struct table table;
};

/* For attrset(): without colours, what is bad is bold. */
int screen_colour(const struct screen *screen, enum colour which);

int screen_rows_for_list(const struct screen *screen);
/* The number of the row that is selected; 0 where it has gone. */
int screen_selected_row(const struct screen *screen);

void screen_put_list(struct screen *screen);
void screen_put_bottom(const struct screen *screen);
void screen_put_help(struct screen *screen);
enum page_error screen_put_process(struct screen *screen);

/* True when the user wants no more. */
bool screen_take_key(struct screen *screen, int key);
/* From help or from a process of the list to where one was. */
void screen_go_back(struct screen *screen);

#endif
