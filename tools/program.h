/* SPDX-License-Identifier: BSD-2-Clause */
/* A command as the shell would find it, and what is known of it before it runs. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <limits.h>
#include <stdbool.h>

#include "elf_facts.h"

struct program {
	char path[PATH_MAX];   /* what the command names */
	char script[PATH_MAX]; /* "", or the script of which path is the interpreter */
	bool is_readable;      /* else nothing is known of it */
	bool is_set_id;        /* set-user-ID, set-group-ID or capabilities that the caller lacks */
	struct elf_facts elf;
};

/* 0, or the exit status; what is wrong has been said. */
int program_find(const char *command, struct program *program);

/* The library among those that it names which brings a malloc, or NULL. */
const char *program_allocator(const struct elf_facts *elf);

/* What keeps the preload from working, as one line with what to do; NULL if nothing does. */
const char *program_obstacle(const struct program *program);

/* Where liboomreclaim.so.0 is: `named` if it is not NULL, else beside this command, else where it
   was installed. 0, or the exit status; what is wrong has been said. */
int library_find(const char *named, bool is_debug, char path[PATH_MAX]);

#endif
