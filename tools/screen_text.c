/* SPDX-License-Identifier: BSD-2-Clause */
/* One process, and help. */
#include <stdlib.h>
#include <string.h>

#include "screen_parts.h"
#include "view.h"

/* Where lines go on that are too long for one row. */
#define INDENT 10

/* ---- Text: one process, or help ---- */

static const char help[] =
	"keys      h ? F1: this; q F10: ends it; Esc: back\n"
	"          up, down, PgUp, PgDn, Home, End: another process; Enter: all of it\n"
	"          < >: the column to sort by; M: by what is charged; N: by PID; I: inverts it\n"
	"          t F5: a tree, with sums in TREE; / F4: only what has a word in its command, Esc: all\n"
	"columns   CHARGED: what counts against the limit; LIM%: of the limit; LEFT: until the limit, as it "
	"grows; REFUSED: failures that ended in NULL; FAILED: requests that the heap refused at first; KILLS: processes killed; LAST: "
	"how the last failure ended\n"
	"colours   LIM% from 75 and 90 on, REFUSED and KILLS above 0; none where NO_COLOR is set\n"
	"width     what does not fit is left out: ALLOCATED first, then LAST, KILLS, RESIDENT, FAILED, LEFT\n";

/* Lines that are too long go on in the next row, from a blank on. Returns how many rows it
   takes. */
static int put_text(const char *text, int first, int rows)
{
	int row = 0, width = COLS > INDENT + 10 ? COLS : INDENT + 10, indent = 0;

	while (*text != '\0') {
		int length = (int)strcspn(text, "\n"), shown = length, room = width - indent;

		if (length > room) {
			for (shown = room; shown > room / 2 && text[shown] != ' ';)
				shown--;
			if (text[shown] != ' ')
				shown = room;
		}
		if (row >= first && row < first + rows)
			mvaddnstr(row - first, indent, text,
			          shown < COLS - indent ? shown : COLS - indent);
		row++;
		text += shown;
		indent = shown < length ? INDENT : 0;
		text += indent > 0 ? (int)strspn(text, " ") : *text == '\n';
	}
	return row;
}

static void put_scrolled(struct screen *screen, const char *text)
{
	int rows = LINES > 1 ? LINES - 1 : 1, needed = put_text(text, 0, 0);

	if (screen->first_line > needed - rows)
		screen->first_line = needed - rows;
	if (screen->first_line < 0)
		screen->first_line = 0;
	put_text(text, screen->first_line, rows);
}

void screen_put_help(struct screen *screen)
{
	put_scrolled(screen, help);
}

enum page_error screen_put_process(struct screen *screen)
{
	static struct stats_page page;
	enum page_error error = page_read(screen->pid, &page);
	char *text = NULL;
	size_t bytes;
	FILE *frame;

	if (error != PAGE_OK)
		return error;
	frame = open_memstream(&text, &bytes);
	if (frame == NULL)
		return PAGE_OK;
	view_process(frame, screen->pid, &page);
	fclose(frame);
	put_scrolled(screen, text);
	free(text);
	return PAGE_OK;
}
