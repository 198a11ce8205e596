/* SPDX-License-Identifier: BSD-2-Clause */
/* Only in the debug library. */
#include "base/assert.h"

#include <stdlib.h>

#include "base/io.h"

/* jemalloc's: what it takes for granted is there to be written over. The block check has seen what
   it can. */
void assert_heap_failed(const char *file, int line, const char *what)
{
	io_warn("%s:%d: not so: %s; the program has probably written over the heap's records", file,
	        line, what);
	abort();
}

void assert_own_failed(const char *file, int line, const char *what)
{
	io_warn("%s:%d: not so: %s; please report this", file, line, what);
	abort();
}
