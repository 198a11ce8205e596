/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void say(const char *format, va_list args)
{
	fflush(stdout);
	fprintf(stderr, "oomreclaim: ");
	vfprintf(stderr, format, args);
}

void tool_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	fputc('\n', stderr);
}

int tool_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	fputc('\n', stderr);
	return TOOL_FAILED;
}

int tool_usage(const struct tool_command *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	fprintf(stderr, "; see oomreclaim %s --help\n", command->name);
	return TOOL_USAGE;
}

int tool_next_option(const struct tool_command *command, int argc, char **argv,
                     const struct option *options)
{
	int at = optind > 0 ? optind : 1, option;

	opterr = 0;
	option = getopt_long(argc, argv, command->letters, options, NULL);
	switch (option) {
	case ':':
		tool_usage(command, "%s: %s needs a value", command->name, argv[at]);
		return '?';
	case '?':
		tool_usage(command, "%s: unknown option %s", command->name, argv[at]);
		return '?';
	case 'h':
		printf("usage: oomreclaim %s %s\n\n%s\n%s%s", command->name, command->synopsis,
		       command->summary, command->options[0] != '\0' ? "\n" : "", command->options);
		return 'h';
	default:
		return option;
	}
}

bool tool_parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	uint64_t number;
	unsigned shift = 0;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno != 0)
		return false;
	if (*end != '\0') {
		unit = strchr(units, toupper((unsigned char)*end));
		if (unit == NULL || end[1] != '\0')
			return false;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (number > UINT64_MAX >> shift)
		return false;
	*bytes = number << shift;
	return true;
}

bool tool_parse_pid(const char *text, pid_t *pid)
{
	char *end;
	long number;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	number = strtol(text, &end, 10);
	if (errno != 0 || *end != '\0' || number < 1 || number > INT_MAX)
		return false;
	*pid = (pid_t)number;
	return true;
}

const char *tool_size(uint64_t bytes)
{
	/* As many as one line of output has. */
	static char texts[8][24];
	static unsigned next;
	static const char units[] = "KMGTPE";
	char *text = texts[next++ % COUNT(texts)];
	double value = (double)bytes;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(text, sizeof texts[0], "%u", (unsigned)bytes);
		return text;
	}
	for (value /= 1024; value >= 1023.95 && units[unit + 1] != '\0'; unit++)
		value /= 1024;
	snprintf(text, sizeof texts[0], value < 9.995 ? "%.2f%c" : "%.1f%c", value, units[unit]);
	return text;
}

const char *tool_limit(uint64_t bytes)
{
	return bytes == UINT64_MAX ? "none" : tool_size(bytes);
}

void tool_clean(char *text)
{
	for (; *text != '\0'; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

void tool_quote(FILE *to, const char *text)
{
	putc('"', to);
	for (; *text != '\0'; text++)
		if (*text == '"' || *text == '\\')
			fprintf(to, "\\%c", *text);
		else if ((unsigned char)*text < ' ')
			fprintf(to, "\\u%04x", (unsigned)(unsigned char)*text);
		else
			putc(*text, to);
	putc('"', to);
}

void tool_put_quoted(const char *text)
{
	tool_quote(stdout, text);
}

int64_t tool_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int tool_flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return TOOL_OK;
	return tool_fail("standard output: %s", strerror(errno));
}
