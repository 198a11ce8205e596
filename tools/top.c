/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim top: the counters again and again, in place on a terminal, one after the other
   elsewhere. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "page.h"
#include "tool.h"
#include "view.h"

/* xterm's, which all terminals of today know. */
#define SCREEN_ENTER "\033[?1049h\033[?25l"
#define SCREEN_LEAVE "\033[?25h\033[?1049l"
#define SCREEN_HOME "\033[H"
#define SCREEN_CLEAR_LINE "\033[K"
#define SCREEN_CLEAR_BELOW "\033[J"

#define DELAY_MAX_S 86400

static const struct option options_of_top[] = {{"delay", required_argument, NULL, 'd'},
                                               {"count", required_argument, NULL, 'n'},
                                               {"help", no_argument, NULL, 'h'},
                                               {NULL, 0, NULL, 0}};

struct top {
	pid_t pid;  /* 0: all */
	long count; /* of frames to come; 0: until it is ended */
	int delay_ms;
	bool is_terminal; /* stdout */
	bool has_keys;    /* stdin, too */
	struct termios saved;
};

/* Set by signal handlers, which can't do more. */
static volatile sig_atomic_t is_ended, is_to_stop;

static void end(int number)
{
	(void)number;
	is_ended = 1;
}

static void ask_to_stop(int number)
{
	(void)number;
	is_to_stop = 1;
}

static void put_line(pid_t pid, const struct stats_page *page, void *arg)
{
	view_line(arg, pid, page);
}

/* The frame as text. */
static int put_frame(const struct top *top, FILE *to)
{
	static struct stats_page page;
	enum page_error error;

	if (top->pid == 0) {
		view_head(to);
		if (page_walk(put_line, to) == 0)
			fprintf(to,
			        "no process that may be looked at shares statistics; start one with "
			        "oomreclaim run --stats\n");
		return PAGE_OK;
	}
	error = page_read(top->pid, &page);
	if (error == PAGE_OK)
		view_process(to, top->pid, &page);
	return (int)error;
}

/* As much of it as there is room for, with what was there before wiped out. */
static void draw(const char *text)
{
	struct winsize size = {.ws_row = 0};
	int rows, columns;

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	/* A terminal need not know its size. */
	rows = size.ws_row > 0 ? size.ws_row - 1 : 23;
	columns = size.ws_col > 0 ? size.ws_col : 80;
	printf(SCREEN_HOME);
	for (int i = 0; *text != '\0' && i < rows; i++) {
		int length = (int)strcspn(text, "\n");
		int shown = length < columns ? length : columns;

		printf("%.*s" SCREEN_CLEAR_LINE "\n", shown, text);
		text += length + (text[length] == '\n');
	}
	printf(SCREEN_CLEAR_BELOW);
}

static enum page_error show(const struct top *top)
{
	enum page_error error;
	char *text = NULL;
	size_t bytes;
	FILE *frame = open_memstream(&text, &bytes);

	if (frame == NULL)
		return PAGE_OK;
	error = put_frame(top, frame);
	fclose(frame);
	if (error == PAGE_OK && top->is_terminal)
		draw(text);
	else if (error == PAGE_OK)
		fputs(text, stdout);
	free(text);
	return error;
}

/* Returns true when the user wants no more. */
static bool pause_or_key(const struct top *top)
{
	struct pollfd in = {.fd = top->has_keys ? STDIN_FILENO : -1, .events = POLLIN};
	char key;

	if (poll(&in, 1, top->delay_ms) > 0 && read(STDIN_FILENO, &key, 1) == 1)
		return key == 'q' || key == 'Q' || key == '\003';
	return (in.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

static void enter_screen(struct top *top)
{
	struct termios raw;

	top->has_keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &top->saved) == 0;
	if (top->has_keys) {
		raw = top->saved;
		raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	printf(SCREEN_ENTER SCREEN_HOME SCREEN_CLEAR_BELOW);
}

static void leave_screen(const struct top *top)
{
	printf(SCREEN_LEAVE);
	fflush(stdout);
	if (top->has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &top->saved);
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = end};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

static void catch_stop(void)
{
	const struct sigaction action = {.sa_handler = ask_to_stop};
	struct sigaction old;

	/* A shell without job control has it ignored. */
	if (sigaction(SIGTSTP, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
		sigaction(SIGTSTP, &action, NULL);
}

/* Control-Z: the shell gets the terminal as it was. */
static void stop(struct top *top)
{
	const struct sigaction as_usual = {.sa_handler = SIG_DFL};

	is_to_stop = 0;
	leave_screen(top);
	sigaction(SIGTSTP, &as_usual, NULL);
	raise(SIGTSTP);
	catch_stop();
	enter_screen(top);
}

/* PAGE_OK, or why it ended; *frames is how many were shown. */
static enum page_error show_all(struct top *top, long *frames)
{
	enum page_error error = PAGE_OK;

	for (*frames = 0; !is_ended;) {
		error = show(top);
		if (error != PAGE_OK || fflush(stdout) != 0)
			break;
		if (++*frames == top->count || pause_or_key(top))
			break;
		if (!top->is_terminal)
			putchar('\n');
		if (is_to_stop)
			stop(top);
	}
	return error;
}

static int watch(struct top *top)
{
	static struct stats_page page;
	enum page_error error = PAGE_OK;
	long frames;

	/* Before the screen is taken: an error belongs on the one that stays. */
	if (top->pid != 0)
		error = page_read(top->pid, &page);
	if (error != PAGE_OK)
		return page_fail(top->pid, error, &page);
	catch_signals();
	if (top->is_terminal) {
		catch_stop();
		enter_screen(top);
	}
	error = show_all(top, &frames);
	if (top->is_terminal)
		leave_screen(top);
	if (error == PAGE_NO_PROCESS || error == PAGE_ENDED) {
		printf("process %d has ended\n", top->pid);
		return tool_flush();
	}
	if (error != PAGE_OK) {
		page_read(top->pid, &page);
		return page_fail(top->pid, error, &page);
	}
	return tool_flush();
}

static int take_option(struct top *top, int option)
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
		top->delay_ms = (int)(seconds * 1000);
		return TOOL_OK;
	}
	if (option == 'n') {
		top->count = strtol(optarg, &end_of_number, 10);
		if (end_of_number == optarg || *end_of_number != '\0' || errno != 0 ||
		    top->count < 1)
			return tool_usage(&command_top, "top: --count %s: not a number from 1",
			                  optarg);
		return TOOL_OK;
	}
	return TOOL_USAGE;
}

static int run(int argc, char **argv)
{
	struct top top = {.delay_ms = 1000, .is_terminal = isatty(STDOUT_FILENO)};
	int option, status;

	/* Without a terminal it is shown once. */
	top.count = top.is_terminal ? 0 : 1;
	while ((option = tool_next_option(&command_top, argc, argv, options_of_top)) != -1) {
		if (option == 'h')
			return tool_flush();
		status = take_option(&top, option);
		if (status != TOOL_OK)
			return status;
	}
	if (argc - optind > 1)
		return tool_usage(&command_top, "top: one process, or none for all");
	if (optind < argc && !tool_parse_pid(argv[optind], &top.pid))
		return tool_usage(&command_top, "top: %s is no process number", argv[optind]);
	return watch(&top);
}

const struct tool_command command_top = {
	.name = "top",
	.letters = "+:hd:n:",
	.synopsis = "[-d SECONDS] [-n COUNT] [PID]",
	.summary = "watches processes that run with stats:true",
	.options =
		"  -d, --delay SECONDS  between two looks, 1 by default\n"
		"  -n, --count COUNT    ends after so many; elsewhere than on a terminal, after one\n"
		"Without a PID, all processes that may be looked at. q ends it.\n",
	.run = run,
};
