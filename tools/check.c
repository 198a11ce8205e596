/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim check: would the library work in a program, without running it. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"
#include "runtimes.h"
#include "tool.h"

static const struct option options_of_check[] = {{"help", no_argument, NULL, 'h'},
                                                 {NULL, 0, NULL, 0}};

static void print_file(const struct program *program)
{
	const struct elf_facts *elf = &program->elf;

	if (program->script[0] != '\0')
		printf("script:     %s\n", program->script);
	printf("program:    %s\n", program->path);
	if (!program->is_readable)
		printf("format:     may not be read\n");
	else if (!elf->is_elf)
		printf("format:     no ELF file; /bin/sh runs it\n");
	else if (elf->is_native)
		printf("format:     %s%s%s\n",
		       elf->interpreter[0] != '\0' ? "dynamic, by " : "static", elf->interpreter,
		       elf->is_go ? ", Go" : "");
	else
		printf("format:     of another machine or word length\n");
}

static void print_malloc(const struct elf_facts *elf)
{
	const char *library = program_allocator(elf);

	if (library != NULL)
		printf("malloc:     of %s\n", library);
	else if (elf->defines_malloc)
		printf("malloc:     its own\n");
	else if (elf->imports_malloc)
		printf("malloc:     the system's\n");
	else if (elf->has_symbols)
		printf("malloc:     not called by the program itself; its libraries may\n");
	else
		printf("malloc:     unknown\n");
}

/* What its file does not say, but its name. */
static void print_runtime(const struct program *program, const struct runtime *runtime)
{
	if (runtime == NULL && (program->script[0] != '\0' || !program->elf.is_elf))
		printf("starts:     what the script starts has the library too; check that as well\n");
	if (runtime != NULL && runtime->memory != NULL)
		printf("memory:     %s\n", runtime->memory);
	if (runtime != NULL && runtime->policy != NULL)
		printf("policy:     %s\n", runtime->policy);
}

/* A library in LD_AUDIT takes what ld.so has left for thread-local storage, and this one then does
   not fit: the program does not start. */
static void print_audit(void)
{
	const char *audit = getenv("LD_AUDIT");

	if (audit != NULL && audit[0] != '\0')
		printf("LD_AUDIT:   is set: no program starts with the preload then, unless "
		       "GLIBC_TUNABLES=glibc.rtld.optional_static_tls=4096 is as well; oomreclaim run "
		       "sets it\n");
}

static void print_settings(const struct elf_facts *elf)
{
	if (elf->misses_oomreclaim)
		printf("callbacks:  its own, which it does not register: OOMRECLAIM_OPTIONAL finds no library "
		       "in a program that is no PIE; compile it with -fPIE\n"
		       "settings:   all of oomreclaim conf\n");
	else if (elf->imports_oomreclaim)
		printf("callbacks:  it registers its own\n"
		       "settings:   all of oomreclaim conf\n");
	else
		printf("callbacks:  none of its own: what can be reclaimed is the allocator's caches\n"
		       "settings:   all of oomreclaim conf; limit, high and policy are of use without "
		       "callbacks, reserve and wait_ms are not\n");
	if (elf->imports_dlopen)
		printf("plugins:    what it opens with RTLD_DEEPBIND is opened without, unless deepbind:true\n");
}

static void print_verdict(const struct program *program, const struct runtime *runtime)
{
	const char *library = program_allocator(&program->elf);

	if (library != NULL && strncmp(library, "liboomreclaim.", strlen("liboomreclaim.")) == 0)
		printf("verdict:    linked with oomreclaim already; oomreclaim run sets its limits\n");
	else if (library != NULL)
		printf("verdict:    the preload works, in place of %s\n", library);
	else if (program->elf.is_go)
		printf("verdict:    the preload works for C code alone: Go has a heap of its own; set "
		       "GOMEMLIMIT for that\n");
	else if (runtime != NULL && runtime->has_own_heap)
		printf("verdict:    the preload works, but not for the memory that %s maps by itself\n",
		       runtime->name);
	else
		printf("verdict:    the preload works\n");
}

static int check_program(const char *command)
{
	const struct runtime *runtime;
	struct program program;
	const char *obstacle;
	int status = program_find(command, &program);

	if (status != TOOL_OK)
		return status;
	obstacle = program_obstacle(&program);
	print_file(&program);
	if (program.elf.is_native && program.elf.interpreter[0] != '\0')
		print_malloc(&program.elf);
	if (obstacle != NULL) {
		printf("verdict:    the preload does not work: %s\n", obstacle);
		tool_flush();
		return TOOL_FAILED;
	}
	runtime = runtime_find(&program);
	print_settings(&program.elf);
	print_runtime(&program, runtime);
	print_audit();
	print_verdict(&program, runtime);
	return tool_flush();
}

static int run(int argc, char **argv)
{
	int option = tool_next_option(&command_check, argc, argv, options_of_check);

	if (option != -1)
		return option == 'h' ? tool_flush() : TOOL_USAGE;
	if (optind + 1 != argc)
		return tool_usage(&command_check, "check: %s",
		                  optind == argc ? "no program to check" : "one program at a time");
	return check_program(argv[optind]);
}

const struct tool_command command_check = {
	.name = "check",
	.letters = "+:h",
	.synopsis = "COMMAND",
	.summary = "says whether the library would work in a program, and what to do if not",
	.options =
		"It looks at the file and runs nothing. Exit status: 0 if it would, 1 if not.\n"
		"It is about the preload. A program that opens the library by dlopen(), or that has\n"
		"LD_AUDIT, needs GLIBC_TUNABLES=glibc.rtld.optional_static_tls=4096 as well.\n",
	.run = run,
};
