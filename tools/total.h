/* SPDX-License-Identifier: BSD-2-Clause */
/* The total of `oomreclaim run --total`: a memfd that the program and all below it inherit. */
#ifndef TOOL_TOTAL_H
#define TOOL_TOTAL_H

#include <stdint.h>

/* Makes it, and names it in the environment. 0, or the exit status; what is wrong has been said. */
int total_make(uint64_t limit);

#endif
