/* SPDX-License-Identifier: BSD-2-Clause */
/* jemalloc's API as a program sees it that was compiled without jemalloc's header: weak, by the
   values of jemalloc(3). */
#ifndef JE_H
#define JE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MALLOCX_LG_ALIGN(shift) ((int)(shift))
#define MALLOCX_ZERO 0x40
#define MALLOCX_TCACHE_NONE 0x100
#define MALLOCX_TCACHE(cache) (((int)(cache) + 2) << 8)
#define MALLOCX_ARENA(arena) (((int)(arena) + 1) << 20)

#define JE_API __attribute__((weak, visibility("default")))

JE_API void *mallocx(size_t size, int flags);
JE_API void *rallocx(void *memory, size_t size, int flags);
JE_API size_t xallocx(void *memory, size_t size, size_t extra, int flags);
JE_API size_t sallocx(const void *memory, int flags);
JE_API void dallocx(void *memory, int flags);
JE_API void sdallocx(void *memory, size_t size, int flags);
JE_API size_t nallocx(size_t size, int flags);
JE_API int mallctl(const char *name, void *old, size_t *old_length, void *new_value,
                   size_t new_length);
JE_API int mallctlnametomib(const char *name, size_t *mib, size_t *length);
JE_API int mallctlbymib(const size_t *mib, size_t length, void *old, size_t *old_length,
                        void *new_value, size_t new_length);
JE_API void malloc_stats_print(void (*write_text)(void *, const char *), void *arg,
                               const char *options);

/* bool, unsigned and size_t by name; the check fails if there is no such name. */
#define JE_READ(name, value)                                             \
	do {                                                             \
		size_t length_ = sizeof *(value);                        \
		CHECK(mallctl((name), (value), &length_, NULL, 0) == 0); \
		CHECK(length_ == sizeof *(value));                       \
	} while (0)

#endif
