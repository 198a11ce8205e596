/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lock that nobody destroys (std::mutex) is gone when its memory is, and what comes to lie there next is
 * another one. jemalloc has a hook for whatever is freed.
 */
#include "heap_fast.h"
#include "jemalloc/internal/hook.h"

#include "lockdep.h"

static void on_free(void *extra, hook_dalloc_t kind, void *memory, uintptr_t args[3])
{
	(void)extra;
	(void)kind;
	(void)args;
	if (memory != NULL)
		lockdep_freed(memory, je_malloc_usable_size(memory));
}

void freed_init(void)
{
	static hooks_t hooks = {.dalloc_hook = on_free};
	void *handle;
	size_t length = sizeof handle;

	je_mallctl("experimental.hooks.install", &handle, &length, &hooks, sizeof hooks);
}
