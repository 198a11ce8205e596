/* SPDX-License-Identifier: BSD-2-Clause */
/* What loader.c and the files that it opens share. */
#ifndef LOADER_H
#define LOADER_H

#include <stddef.h>

/* In the directory hidden. */
#define PLUGIN "libloader_plugin.so"

/* Frees the one block, and returns another. */
typedef char *plugin_block(char *block);
typedef void *plugin_address(void);
/* Registers its callbacks; returns the handle of the first. */
typedef unsigned long plugin_register_all(void);
typedef void *open_plugin(const char *file, int mode);

#endif
