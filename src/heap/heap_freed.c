/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lock that no call destroys (std::mutex) ends with its memory, and the next lock at its address
 * is another one. jemalloc has a hook for memory that is freed.
 */
#include "heap/heap_freed.h"

#include "heap/heap_fast.h"
#include "jemalloc/internal/hook.h"

#include "lockdep/lockdep.h"

static void on_free(void *extra, hook_dalloc_t kind, void *memory, uintptr_t args[3])
{
	(void)extra;
	(void)kind;
	(void)args;
	if (memory != NULL)
		lockdep_freed(memory, je_malloc_usable_size(memory));
}

/* The end of a large block that shrinks is freed by way of this hook. */
static void on_resize(void *extra, hook_expand_t kind, void *memory, size_t old_bytes, size_t bytes,
                      uintptr_t result, uintptr_t args[4])
{
	(void)extra;
	(void)kind;
	(void)result;
	(void)args;
	if (bytes < old_bytes)
		lockdep_freed((const char *)memory + bytes, old_bytes - bytes);
}

void heap_freed_init(void)
{
	static hooks_t hooks = {.dalloc_hook = on_free, .expand_hook = on_resize};
	void *handle;
	size_t length = sizeof handle;

	je_mallctl("experimental.hooks.install", &handle, &length, &hooks, sizeof hooks);
}
