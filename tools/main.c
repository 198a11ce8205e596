/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim: starts programs on the library, and looks at those that run on it. */
#include <stdio.h>
#include <string.h>

#include "oomreclaim.h"
#include "tool.h"

static const struct tool_command *const commands[] = {&command_run,  &command_check,
                                                      &command_conf, &command_top,
                                                      &command_stat, &command_export,
                                                      &command_ctl,  &command_symbolize};

static int help(void)
{
	printf("usage: oomreclaim COMMAND [ARGUMENT...]\n\n"
	       "A malloc that asks for memory back before it says no.\n\n");
	for (size_t i = 0; i < COUNT(commands); i++)
		printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
	printf("\noomreclaim COMMAND --help says more; so do the manuals oomreclaim(1) and\n"
	       "oomreclaim.conf(5). Exit status: 0; 1 if it failed; 2 for a wrong command line;\n"
	       "of run, the program's own.\n");
	return tool_flush();
}

static int version(void)
{
	printf("oomreclaim %s\n", oomreclaim_version());
	return tool_flush();
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		tool_warn("no command; see oomreclaim --help");
		return TOOL_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0)
		return help();
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return version();
	for (size_t i = 0; i < COUNT(commands); i++)
		if (strcmp(argv[1], commands[i]->name) == 0)
			return commands[i]->run(argc - 1, argv + 1);
	tool_warn("unknown %s %s; see oomreclaim --help", argv[1][0] == '-' ? "option" : "command",
	          argv[1]);
	return TOOL_USAGE;
}
