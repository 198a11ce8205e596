/* SPDX-License-Identifier: BSD-2-Clause */
/* jemalloc's API as a program sees it that was compiled without jemalloc's header: weak, by the
   values of jemalloc(3). */
#ifndef JE_H
#define JE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define MALLOCX_LG_ALIGN(shift) ((int)(shift))
#define MALLOCX_ZERO 0x40
#define MALLOCX_TCACHE_NONE 0x100
#define MALLOCX_TCACHE(cache) (((int)(cache) + 2) << 8)
#define MALLOCX_ARENA(arena) (((int)(arena) + 1) << 20)

/* extent_hooks_t; what is NULL is opted out of. */
struct extent_hooks {
	void *(*alloc)(struct extent_hooks *hooks, void *at, size_t size, size_t alignment,
	               bool *zero, bool *commit, unsigned arena);
	bool (*dalloc)(struct extent_hooks *hooks, void *at, size_t size, bool committed,
	               unsigned arena);
	void *others[7];
};

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

/* Hooks may have it as their `alloc`. */
static inline void *je_extent_map(struct extent_hooks *hooks, void *at, size_t size,
                                  size_t alignment, bool *zero, bool *commit, unsigned arena)
{
	char *memory;
	size_t offset;

	(void)hooks, (void)arena;
	if (at != NULL)
		return NULL;
	memory = mmap(NULL, size + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	              -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	offset = -(size_t)memory % alignment;
	*zero = *commit = true;
	return memory + offset;
}

#endif
