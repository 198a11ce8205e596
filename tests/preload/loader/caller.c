/* SPDX-License-Identifier: BSD-2-Clause */
/* A library whose RUNPATH leads to the plugin. */
#include <dlfcn.h>

#include "../loader.h"

open_plugin caller_open;

__attribute__((visibility("default"))) void *caller_open(const char *file, int mode)
{
	void *opened = dlopen(file, mode);

	/* Not as a jump. */
	__asm__ volatile("" : : "r"(opened) : "memory");
	return opened;
}
