/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program with a malloc() of its own, whose blocks lie above the addresses that the heap keeps:
 * they are nobody's, though the rest of the address is that of one of the heap's blocks.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "je.h"

static _Alignas(16) char arena[1 << 20];
static size_t used;

__attribute__((visibility("default"))) void *malloc(size_t size)
{
	void *twin;

	/* The library's question, to which nobody writes. */
	if (size == 1 && (twin = mallocx(1, 0)) != NULL)
		return (void *)((uintptr_t)twin | (uintptr_t)1 << 52);
	used += (size + 15) & ~(size_t)15;
	return used <= sizeof arena ? &arena[used - ((size + 15) & ~(size_t)15)] : NULL;
}

__attribute__((visibility("default"))) void free(void *memory)
{
	(void)memory;
}

int main(void)
{
	return 0;
}
