/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs of which more is known than their files say: what of their memory is not malloc's, and
   what they do when malloc fails. */
#ifndef RUNTIMES_H
#define RUNTIMES_H

#include <stdbool.h>

#include "program.h"

struct runtime {
	const char *name;
	const char *memory; /* what of it is not malloc's, and what limits that; NULL: nothing */
	const char *policy; /* which is to be set, and why; NULL: any */
	bool has_own_heap;  /* in which most of its memory is */
};

/* By the program's name, or by a library that it is linked with; NULL for all others. */
const struct runtime *runtime_find(const struct program *program);

#endif
