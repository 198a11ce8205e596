/* SPDX-License-Identifier: BSD-2-Clause */
/* The heap counts processors by sched_getaffinity(). A program that includes this exports its own,
   by which there are two. */
#ifndef TWO_PROCESSORS_H
#define TWO_PROCESSORS_H

#include <sched.h>
#include <sys/types.h>

__attribute__((visibility("default"))) int sched_getaffinity(pid_t pid, size_t bytes,
                                                             cpu_set_t *set)
{
	(void)pid;
	CPU_ZERO_S(bytes, set);
	CPU_SET_S(0, bytes, set);
	CPU_SET_S(1, bytes, set);
	return 0;
}

#endif
