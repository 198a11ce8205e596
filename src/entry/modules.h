/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared objects that register callbacks for programs that can't be rebuilt: the setting modules.
 *
 * A module that is missing, of another ABI, or that crashes, hangs or ends in its constructors is
 * left out with one line: each is tried in a child first.
 */
#ifndef OOM_MODULES_H
#define OOM_MODULES_H

#include <stdbool.h>
#include <stddef.h>

/* One of "NAME[=ARGUMENT]+...". */
struct module {
	char file[512]; /* a name until modules_find(), then an absolute path */
	char argument[256];
};

/* Takes the first off the list; false at its end. */
bool modules_next(const char **list, struct module *module);

/* NULL, or why a file may not be loaded into a program with privileges that its caller lacks: it,
   or a directory above it, is for others than root to write. */
const char *modules_distrust(const char *path);

/* Loads what `list` names. Once, before main(), when the program's own libraries are there. */
void modules_load(const char *list);

#endif
