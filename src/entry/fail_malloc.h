/* SPDX-License-Identifier: BSD-2-Clause */
/* The setting fail_malloc, the kernel's failslab: allocations that fail although there is memory.
   Only in the debug library; in the release library it is nothing. */
#ifndef OOM_FAIL_MALLOC_H
#define OOM_FAIL_MALLOC_H

#include <stdbool.h>
#include <stddef.h>

#ifdef OOM_DEBUG
/* By the settings, once they are read. */
void fail_malloc_init(void);
/* At every entry that allocates, before the heap is asked: the lock checker learns of it. True:
   this allocation is to fail, and errno is ENOMEM. */
bool fail_malloc_strikes(size_t bytes, const void *caller);
#else
#define fail_malloc_strikes(bytes, caller) false
#endif

#endif
