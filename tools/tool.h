/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the subcommands of `oomreclaim` share. Each is a function that returns the exit status; what
 * goes wrong is one line on stderr that says what to do about it.
 */
#ifndef TOOL_H
#define TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum tool_status { TOOL_OK = 0, TOOL_FAILED = 1, TOOL_USAGE = 2 };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct tool_command {
	const char *name;
	const char *letters; /* for getopt(), beginning with "+:" */
	const char *synopsis;
	const char *summary;
	const char *options; /* lines for --help, "" if there are none */
	int (*run)(int argc, char **argv);
};

struct option; /* of getopt.h; the library has another */

extern const struct tool_command command_run, command_check, command_conf, command_stat,
	command_top, command_export, command_ctl, command_symbolize;

/* "oomreclaim: ...\n" on stderr. */
void tool_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, and the exit status. */
int tool_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same for a wrong command line, and where help is to be had. */
int tool_usage(const struct tool_command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The next option as getopt_long() has it, -1 behind the last. What is wrong with the command line
   has been said when it returns '?'; --help has been printed when it returns 'h'. */
int tool_next_option(const struct tool_command *command, int argc, char **argv,
                     const struct option *options);

/* 65536, 64K, 8M, 1G, 1T. */
bool tool_parse_size(const char *text, uint64_t *bytes);
/* Digits alone, from 1 to what fits. */
bool tool_parse_pid(const char *text, pid_t *pid);

/* "1.2G". Valid until the eighth call after it. */
const char *tool_size(uint64_t bytes);
/* The same, but "none" for UINT64_MAX. */
const char *tool_limit(uint64_t bytes);

/* The text with what is not printable ASCII as '?'; in place. */
void tool_clean(char *text);

/* Between quotes: in JSON, and in Prometheus's labels for a text that is clean. The second one on
   stdout. */
void tool_quote(FILE *to, const char *text);
void tool_put_quoted(const char *text);

/* By a clock that nobody sets. */
int64_t tool_now_ms(void);

/* What has been printed has to have arrived: the exit status. */
int tool_flush(void);

#endif
