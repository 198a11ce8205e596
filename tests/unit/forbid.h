/* SPDX-License-Identifier: BSD-2-Clause */
/* System calls that an older kernel lacks, or a filter does not let through. */
#ifndef FORBID_H
#define FORBID_H

#include <stddef.h>

/* From here on they fail with `error`, in this process and its children; or, where this user may
   not have it so, the process ends with status 77. */
void forbid(int error, const int *numbers, size_t count);

/* The same with the numbers themselves: forbid_calls(ENOSYS, SYS_kcmp). */
#define forbid_calls(error, ...) \
	forbid(error, (const int[]){__VA_ARGS__}, sizeof((int[]){__VA_ARGS__}) / sizeof(int))

#endif
