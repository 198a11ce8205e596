/* SPDX-License-Identifier: BSD-2-Clause */
/* An operation, with its first, second, third... mapping failing, until it has no more of them. */
#ifndef NTH_H
#define NTH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../preload/check.h"
#include "oomreclaim.h"

#define ANY_NUMBER UINT_MAX

struct operation {
	const char *name;
	/* Does it, and undoes it. False if it was refused, and said so as its manual says. Anything
	   else fails a check. */
	bool (*run)(void);
	/* Before each, with nothing injected. */
	void (*prepare)(void);
	/* It must not notice so many faults. */
	unsigned immune_to;
};

/* All of them, as one case each. */
int nth_main(int argc, char **argv, const struct operation *operations, size_t count);

/* That a refusal left this behind, and a success left errno alone. */
bool nth_refused(const void *memory);

/* In a child: what was injected into it counts for the operation. Ends it. */
__attribute__((noreturn)) void nth_exit(int status);

/* Bytes of a pattern that depends on the address and the size. */
void nth_fill(void *memory, size_t bytes);
void nth_check(const void *memory, size_t bytes);

#endif
