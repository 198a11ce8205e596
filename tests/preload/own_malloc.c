/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program with an allocator of its own, whose free() relies on main() having begun: GCL's, which
 * maxima runs in, and others that were dumped with their heap. It has locks, as firefox's; and it
 * brings a backtrace() of its own, as libunwind does, which takes the same locks.
 */
#include <execinfo.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define EXPORTED __attribute__((visibility("default")))

static char room[4 << 20];
static size_t used;
static bool has_begun;
static pthread_mutex_t outer = PTHREAD_MUTEX_INITIALIZER, inner = PTHREAD_MUTEX_INITIALIZER;

static char *take(size_t size)
{
	char *memory = room + used;

	used += (size + 31) / 16 * 16;
	return used <= sizeof room ? memory : NULL;
}

EXPORTED void *malloc(size_t size)
{
	char *memory;

	pthread_mutex_lock(&outer);
	pthread_mutex_lock(&inner);
	memory = take(size);
	pthread_mutex_unlock(&inner);
	pthread_mutex_unlock(&outer);
	return memory;
}

EXPORTED int backtrace(void **frames, int count)
{
	(void)frames, (void)count;
	pthread_mutex_lock(&outer);
	pthread_mutex_unlock(&outer);
	return 0;
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
