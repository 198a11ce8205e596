/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What fork() writes in the child, and in the parent behind it. Each page that is written there has
 * to be copied, so what is always written lies side by side, and the rest is written only where it
 * has another value.
 */
#ifndef OOM_FORK_DATA_H
#define OOM_FORK_DATA_H

/* Of a static variable: a lock that fork() holds, or a flag that the child clears. */
#define OOM_FORK_DATA __attribute__((section("oom_fork_data")))

#define fork_reset(variable, value)           \
	do {                                  \
		if ((variable) != (value))    \
			(variable) = (value); \
	} while (0)

#endif
