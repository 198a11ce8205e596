/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the library puts in place of libc's, libstdc++'s and jemalloc's functions: prototypes that
 * no system header has, or not under these names.
 */
#ifndef OOM_INTERPOSE_H
#define OOM_INTERPOSE_H

#include <stdbool.h>
#include <stddef.h>

/* An allocator that was preloaded before this library, or that the program itself contains, takes
   its malloc() and all that hangs on it. */
bool interpose_is_first(void);

void free_sized(void *memory, size_t size);
void free_aligned_sized(void *memory, size_t alignment, size_t size);
void cfree(void *memory);
void *mallocx(size_t size, int flags);
void *rallocx(void *memory, size_t size, int flags);
void malloc_stats_print(void (*put)(void *arg, const char *text), void *arg, const char *what);
int mallctl(const char *name, void *old, size_t *old_length, void *new, size_t new_length);

#endif
