/* SPDX-License-Identifier: BSD-2-Clause */
/* A program with an allocator of its own, whose free() relies on main() having begun: GCL's, which
   maxima runs in, and others that were dumped with their heap. */
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define EXPORTED __attribute__((visibility("default")))

static char room[4 << 20];
static size_t used;
static bool has_begun;

EXPORTED void *malloc(size_t size)
{
	char *memory = room + used;

	used += (size + 31) / 16 * 16;
	return used <= sizeof room ? memory : NULL;
}

EXPORTED void free(void *memory)
{
	CHECK(memory == NULL || has_begun);
}

EXPORTED void *calloc(size_t count, size_t size)
{
	return malloc(count * size);
}

/* Whatever is behind the old block is not of it, but of `room`. */
EXPORTED void *realloc(void *old, size_t size)
{
	void *memory = malloc(size);

	return old != NULL && memory != NULL ? memmove(memory, old, size) : memory;
}

int main(void)
{
	has_begun = true;
	free(malloc(1));
	return 0;
}
