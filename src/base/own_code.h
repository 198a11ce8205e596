/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether an address is in this library's code: by the linker's names for where that begins and
   ends. In a program that is linked with the static library all of the program's code is. */
#ifndef OOM_OWN_CODE_H
#define OOM_OWN_CODE_H

#include <stdbool.h>

extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char etext[] __attribute__((visibility("hidden")));

static inline bool own_code_has(const void *address)
{
	return (const char *)address >= __ehdr_start && (const char *)address < etext;
}

#endif
