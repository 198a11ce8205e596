/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim top: the counters again and again, on a terminal in place (screen.c), elsewhere one
   after the other. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "page.h"
#include "screen.h"
#include "table.h"
#include "tool.h"
#include "view.h"

#define DELAY_MAX_S 86400

static const struct option options_of_top[] = {{"delay", required_argument, NULL, 'd'},
                                               {"count", required_argument, NULL, 'n'},
                                               {"help", no_argument, NULL, 'h'},
                                               {NULL, 0, NULL, 0}};

/* Set by signal handlers, which can't do more. */
static volatile sig_atomic_t is_ended;

static void end(int number)
{
	(void)number;
	is_ended = 1;
}

static void put_line(pid_t pid, const struct stats_page *page, void *arg)
{
	view_line(arg, pid, page);
}

/* One after the other, as text. */
static enum page_error put_frame(pid_t pid)
{
	static struct stats_page page;
	enum page_error error;

	if (pid == 0) {
		struct table table = {.rows = NULL};

		table_read(&table, &(struct order){.by = COLUMN_PID});
		view_totals(stdout, table.totals, table.totals_count);
		free(table.rows);
		view_head(stdout);
		if (page_walk(put_line, stdout) == 0)
			printf("no process that may be looked at shares statistics; start one with "
			       "oomreclaim run --stats\n");
		return PAGE_OK;
	}
	error = page_read(pid, &page);
	if (error == PAGE_OK)
		view_process(stdout, pid, &page);
	return error;
}

static enum page_error put_frames(const struct watch *watch)
{
	enum page_error error = PAGE_OK;

	for (long frames = 0; !is_ended; putchar('\n')) {
		error = put_frame(watch->pid);
		if (error != PAGE_OK || fflush(stdout) != 0 || ++frames == watch->count)
			break;
		poll(NULL, 0, watch->delay_ms);
	}
	return error;
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = end};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

static int watch_all(const struct watch *watch)
{
	static struct stats_page page;
	enum page_error error = PAGE_OK;

	/* Before the screen is taken: an error belongs on the one that stays. */
	if (watch->pid != 0)
		error = page_read(watch->pid, &page);
	if (error != PAGE_OK)
		return page_fail(watch->pid, error, &page);
	catch_signals();
	if (!isatty(STDOUT_FILENO) || !screen_watch(watch, &is_ended, &error))
		error = put_frames(watch);
	if (error == PAGE_NO_PROCESS || error == PAGE_ENDED) {
		printf("process %d has ended\n", watch->pid);
		return tool_flush();
	}
	if (error != PAGE_OK) {
		page_read(watch->pid, &page);
		return page_fail(watch->pid, error, &page);
	}
	return tool_flush();
}

static int take_option(struct watch *watch, int option)
{
	char *end_of_number;
	double seconds;

	errno = 0;
	if (option == 'd') {
		seconds = strtod(optarg, &end_of_number);
		if (end_of_number == optarg || *end_of_number != '\0' || !isfinite(seconds) ||
		    seconds < 0.1 || seconds > DELAY_MAX_S)
			return tool_usage(&command_top,
			                  "top: --delay %s: not a number of seconds, 0.1 to "
			                  "%d",
			                  optarg, DELAY_MAX_S);
		watch->delay_ms = (int)(seconds * 1000);
		return TOOL_OK;
	}
	if (option == 'n') {
		watch->count = strtol(optarg, &end_of_number, 10);
		if (end_of_number == optarg || *end_of_number != '\0' || errno != 0 ||
		    watch->count < 1)
			return tool_usage(&command_top, "top: --count %s: not a number from 1",
			                  optarg);
		return TOOL_OK;
	}
	return TOOL_USAGE;
}

static int run(int argc, char **argv)
{
	struct watch watch = {.delay_ms = 1000};
	int option, status;

	/* Without a terminal it is shown once. */
	watch.count = isatty(STDOUT_FILENO) ? 0 : 1;
	while ((option = tool_next_option(&command_top, argc, argv, options_of_top)) != -1) {
		if (option == 'h')
			return tool_flush();
		status = take_option(&watch, option);
		if (status != TOOL_OK)
			return status;
	}
	if (argc - optind > 1)
		return tool_usage(&command_top, "top: one process, or none for all");
	if (optind < argc && !tool_parse_pid(argv[optind], &watch.pid))
		return tool_usage(&command_top, "top: %s is no process number", argv[optind]);
	return watch_all(&watch);
}

const struct tool_command command_top = {
	.name = "top",
	.letters = "+:hd:n:",
	.synopsis = "[-d SECONDS] [-n COUNT] [PID]",
	.summary = "watches processes that run with stats:true",
	.options =
		"  -d, --delay SECONDS  between two looks, 1 by default\n"
		"  -n, --count COUNT    ends after so many; elsewhere than on a terminal, after one\n"
		"Without a PID, all processes that may be looked at. On a terminal h says which keys\n"
		"there are; q ends it. NO_COLOR: without colours.\n",
	.run = run,
};
