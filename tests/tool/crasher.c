/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that ends badly, as its argument says: "unchecked" writes to what malloc() returns,
 * until that is NULL; "checked" ends with status 9 then; "abort"; "wait" until it is ended;
 * "stopped" stops itself and ends with status 3 when it goes on; "term" says that SIGTERM has come,
 * with status 4; "handled" is "unchecked" with a handler of SIGABRT that allocates, as that of a
 * server which writes a report of its own; "breaks" is the same with one that crashes; "aborts"
 * calls abort() at NULL, and its handler gives back before it allocates, so that it gets what it
 * asks for.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_BYTES = 1 << 20, HANDLER_BYTES = 100000, BLOCKS = 64 };

static char *blocks[BLOCKS];

static void leave(int number)
{
	(void)number;
	_exit(4);
}

static void report(int number)
{
	(void)number;
	/* More than is left below the limit: some of these fail as well. */
	for (int i = 0; i < 12; i++) {
		char *block = malloc(HANDLER_BYTES);

		if (block != NULL)
			memset(block, 1, HANDLER_BYTES);
	}
}

static void break_down(int number)
{
	raise(number == SIGABRT ? SIGSEGV : number);
}

/* What is free lies in pieces: it has to be given back to the system before there is room. */
static void report_in_room(int number)
{
	(void)number;
	for (int i = 0; i < BLOCKS; i += 2)
		free(blocks[i]);
	if (malloc((size_t)3 * BLOCK_BYTES) == NULL)
		_exit(5);
}

static void end_checked(void)
{
	exit(9);
}

/* With what it does at NULL: nothing, if that is NULL itself. */
static void fill(void (*end)(void))
{
	for (int i = 0;; i++) {
		char *block = malloc(BLOCK_BYTES);

		if (end != NULL && block == NULL)
			end();
		memset(block, 1, BLOCK_BYTES);
		blocks[i % BLOCKS] = block;
		/* So that it is looked at before its end. */
		usleep(2000);
	}
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";

	puts("ready");
	fflush(stdout);
	if (strcmp(kind, "handled") == 0) {
		signal(SIGABRT, report);
		fill(NULL);
	}
	if (strcmp(kind, "breaks") == 0) {
		signal(SIGABRT, break_down);
		fill(NULL);
	}
	if (strcmp(kind, "aborts") == 0) {
		signal(SIGABRT, report_in_room);
		fill(abort);
	}
	if (strcmp(kind, "unchecked") == 0 || strcmp(kind, "checked") == 0)
		fill(strcmp(kind, "checked") == 0 ? end_checked : NULL);
	if (strcmp(kind, "stopped") == 0) {
		raise(SIGSTOP);
		return 3;
	}
	if (strcmp(kind, "term") == 0)
		signal(SIGTERM, leave);
	if (strcmp(kind, "abort") == 0) {
		usleep(200000);
		abort();
	}
	for (;;)
		pause();
}
