/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What jemalloc exports by itself in the release library; here blocks are looked at first. Only in
 * liboomreclaim-debug.so.
 */
#include <malloc.h>

#include "base/base.h"
#include "entry/interpose.h"
#include "heap/heap_fast.h"

OOM_EXPORT size_t malloc_usable_size(void *memory)
{
	return blocks_size(memory);
}

size_t sallocx(const void *memory, int flags) OOM_EXPORT;
size_t xallocx(void *memory, size_t size, size_t extra, int flags) OOM_EXPORT;
size_t nallocx(size_t size, int flags) OOM_EXPORT;
void dallocx(void *memory, int flags) OOM_EXPORT;
void sdallocx(void *memory, size_t size, int flags) OOM_EXPORT;
int mallctlbymib(const size_t *mib, size_t length, void *old, size_t *old_length, void *new,
                 size_t new_length) OOM_EXPORT;

size_t sallocx(const void *memory, int flags)
{
	(void)flags;
	return blocks_size(memory);
}

size_t xallocx(void *memory, size_t size, size_t extra, int flags)
{
	return blocks_xallocx(memory, size, extra, flags);
}

size_t nallocx(size_t size, int flags)
{
	return blocks_nallocx(size, flags);
}

void dallocx(void *memory, int flags)
{
	blocks_dallocx(memory, flags);
}

void sdallocx(void *memory, size_t size, int flags)
{
	blocks_sdallocx(memory, size, flags);
}

int mallctlbymib(const size_t *mib, size_t length, void *old, size_t *old_length, void *new,
                 size_t new_length)
{
	/* As mallctl(). */
	blocks_drain();
	return je_mallctlbymib(mib, length, old, old_length, new, new_length);
}
