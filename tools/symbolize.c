/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * oomreclaim symbolize: what is on the standard input, with the function, file and line behind each
 * place in it: FILE+0xOFFSET, as reports and events have it, and FILE(+0xOFFSET, as the lock check
 * does. addr2line knows them best, of binutils or of elfutils; else the file's own symbols.
 */
#include <ctype.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "elf_symbols.h"
#include "page.h"
#include "tool.h"

#define PROGRAM "the program"

static const struct option options_of_symbolize[] = {{"pid", required_argument, NULL, 'p'},
                                                     {"help", no_argument, NULL, 'h'},
                                                     {NULL, 0, NULL, 0}};

/* Where files are looked for of which the name alone is known. */
static struct {
	pid_t pid; /* 0: none */
	char **files;
} known;

/* A place in a line. */
struct place {
	char file[PATH_MAX];
	uint64_t offset;
	const char *end;
};

extern char **environ;

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* ---- The file of a name ---- */

static bool find_mapped(const char *name, char path[PATH_MAX])
{
	char maps[64], line[PATH_MAX + 128];
	bool is_found = false;
	FILE *file;

	snprintf(maps, sizeof maps, "/proc/%d/maps", known.pid);
	file = fopen(maps, "re");
	while (file != NULL && !is_found && fgets(line, sizeof line, file) != NULL) {
		const char *mapped = strchr(line, '/');

		line[strcspn(line, "\n")] = '\0';
		is_found = mapped != NULL && strcmp(base_name(mapped), name) == 0;
		if (is_found)
			snprintf(path, PATH_MAX, "%s", mapped);
	}
	if (file != NULL)
		fclose(file);
	return is_found;
}

static bool find_file(const char *name, char path[PATH_MAX])
{
	char link[64];
	bool is_program = strcmp(name, PROGRAM) == 0;

	for (char **file = known.files; *file != NULL; file++)
		if (is_program || strcmp(base_name(*file), name) == 0) {
			snprintf(path, PATH_MAX, "%s", *file);
			return true;
		}
	if (known.pid == 0)
		return false;
	if (!is_program)
		return find_mapped(name, path);
	snprintf(link, sizeof link, "/proc/%d/exe", known.pid);
	snprintf(path, PATH_MAX, "%s", link);
	return true;
}

/* ---- A place ---- */

static bool is_name(char c)
{
	return c > ' ' && c != '"' && c != '\'' && c != '(' && c != ',';
}

/* The name that ends before `at`. */
static void take_name(const char *line, const char *at, char name[PATH_MAX])
{
	const size_t program = strlen(PROGRAM);
	const char *begin = at;

	while (begin > line && is_name(begin[-1]))
		begin--;
	if ((size_t)(at - line) >= program && strncmp(at - program, PROGRAM, program) == 0)
		begin = at - program;
	snprintf(name, PATH_MAX, "%.*s", (int)(at - begin < PATH_MAX ? at - begin : 0), begin);
}

/* The next one from `from` on; false if there is none. */
static bool next_place(const char *line, const char *from, struct place *place)
{
	char name[PATH_MAX], *end;
	const char *at;

	while ((at = strstr(from, "+0x")) != NULL) {
		from = at + 3;
		if (!isxdigit((unsigned char)*from))
			continue;
		place->offset = strtoull(from, &end, 16);
		place->end = end;
		take_name(line, at > line && at[-1] == '(' ? at - 1 : at, name);
		if (name[0] == '/')
			snprintf(place->file, sizeof place->file, "%s", name);
		else if (name[0] == '\0' || !find_file(name, place->file))
			continue;
		return true;
	}
	return false;
}

/* ---- What is there ---- */

/* Its first two lines; false if it is not there, or does not know. */
static bool run_tool(const char *tool, const struct place *place, char function[256],
                     char line[PATH_MAX])
{
	char address[24],
		*argv[] = {(char *)tool, "-f", "-C", "-e", (char *)place->file, address, NULL};
	posix_spawn_file_actions_t actions;
	int ends[2], status = -1;
	FILE *output;
	pid_t pid;

	snprintf(address, sizeof address, "0x%" PRIx64, place->offset - 1);
	if (pipe(ends) != 0)
		return false;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclose(&actions, ends[0]);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, tool, &actions, NULL, argv, environ) != 0)
		pid = -1;
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	output = fdopen(ends[0], "r");
	if (output == NULL || fgets(function, 256, output) == NULL ||
	    fgets(line, PATH_MAX, output) == NULL)
		function[0] = line[0] = '\0';
	if (output != NULL)
		fclose(output);
	else
		close(ends[0]);
	if (pid > 0)
		waitpid(pid, &status, 0);
	function[strcspn(function, "\n")] = '\0';
	/* Which of several pieces of code a line has become says nothing here. */
	if (strstr(line, " (discriminator") != NULL)
		*strstr(line, " (discriminator") = '\0';
	line[strcspn(line, "\n")] = '\0';
	return status == 0 && function[0] != '\0' && strcmp(function, "??") != 0;
}

static void put_place(const struct place *place)
{
	static const char *const tools[] = {"addr2line", "eu-addr2line"};
	char function[256], line[PATH_MAX];
	struct stat file;

	/* Of a device or a FIFO nobody knows what reading it does. */
	if (stat(place->file, &file) != 0 || !S_ISREG(file.st_mode))
		return;
	for (size_t i = 0; i < COUNT(tools); i++) {
		if (!run_tool(tools[i], place, function, line))
			continue;
		tool_clean(function);
		tool_clean(line);
		printf("  %s%s%s", function, line[0] == '?' ? "" : " at ",
		       line[0] == '?' ? "" : line);
		return;
	}
	if (elf_symbol_at(place->file, place->offset - 1, function, sizeof function))
		printf("  %s", function);
}

static void put_line(char *line)
{
	const char *from = line;
	struct place place;

	line[strcspn(line, "\n")] = '\0';
	fputs(line, stdout);
	while (next_place(line, from, &place)) {
		put_place(&place);
		from = place.end;
	}
	putchar('\n');
}

static int run(int argc, char **argv)
{
	char *line = NULL;
	size_t bytes = 0;
	enum page_error error;
	int option;

	while ((option = tool_next_option(&command_symbolize, argc, argv, options_of_symbolize)) !=
	       -1) {
		if (option == 'h')
			return tool_flush();
		if (option != 'p')
			return TOOL_USAGE;
		if (!tool_parse_pid(optarg, &known.pid))
			return tool_usage(&command_symbolize, "symbolize: %s is no process number",
			                  optarg);
	}
	error = known.pid != 0 ? page_may_look(known.pid) : PAGE_OK;
	if (error != PAGE_OK)
		return page_fail(known.pid, error, NULL);
	known.files = argv + optind;
	while (getline(&line, &bytes, stdin) > 0) {
		put_line(line);
		fflush(stdout);
	}
	free(line);
	return tool_flush();
}

const struct tool_command command_symbolize = {
	.name = "symbolize",
	.letters = "+:h",
	.synopsis = "[--pid PID] [FILE...]",
	.summary = "puts function, file and line behind each FILE+0xOFFSET of its input",
	.options = "  --pid PID   where a name has no directory, what that process has mapped\n"
		   "  FILE        or these; the first is \"the program\"\n",
	.run = run,
};
