/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim_register(), _shrinker_register() and _unregister(): they allocate, wait, and tell the
   background. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "background/background.h"
#include "background/room.h"
#include "base/base.h"
#include "entry/dry_run.h"
#include "heap/heap_ops.h"
#include "lockdep/watch.h"
#include "oomreclaim.h"
#include "reclaim/calls.h"
#include "reclaim/descent.h"
#include "reclaim/outside.h"
#include "reclaim/registry.h"
#include "reclaim/reserve.h"

/* They exclude each other: DIRECT and BACKGROUND together would exclude every call. */
static bool is_valid(unsigned flags)
{
	return flags == 0 || flags == OOMRECLAIM_CALLBACK_DIRECT ||
	       flags == OOMRECLAIM_CALLBACK_BACKGROUND || flags == OOMRECLAIM_CALLBACK_ROOM;
}

static int check(const struct registry_new *callback)
{
	const char *name = callback->name;

	if (name == NULL || name[0] == '\0' || callback->function == NULL ||
	    !is_valid(callback->flags))
		return EINVAL;
	return strlen(name) > OOMRECLAIM_NAME_MAX ? ENAMETOOLONG : 0;
}

static int add(const struct registry_new *callback, oomreclaim_handle *handle)
{
	oomreclaim_handle given;
	struct outside outside;
	int error = check(callback), saved = errno;
	void *memory;

	if (error != 0)
		return error;
	/* First, or what follows could take the reserve for the heap. */
	reserve_want_arena();
	/* An allocation like any other: it may descend the ladder, and from a callback it is served
	   from the reserve. */
	outside = outside_begin();
	memory = malloc(registry_entry_bytes);
	outside_end(&outside);
	errno = saved;
	if (memory == NULL)
		return ENOMEM;
	given = registry_add(memory, callback, free);
	if (handle != NULL)
		*handle = given;
	dry_run_begin(given, callback->flags);
	background_note_callback();
	if (callback->flags == OOMRECLAIM_CALLBACK_ROOM)
		room_want();
	return 0;
}

OOM_EXPORT int oomreclaim_register(const char *name, int priority, unsigned flags,
                                   oomreclaim_callback *function, void *arg,
                                   oomreclaim_handle *handle)
{
	const struct registry_new callback = {.name = name,
	                                      .priority = priority,
	                                      .flags = flags,
	                                      .function = function,
	                                      .arg = arg,
	                                      .in_group = heap_ops.group_current()};

	return add(&callback, handle);
}

/* No struct of a later library is larger: the kernel's limit for those it copies, a page. */
enum { STRUCT_BYTES_MAX = 4096 };

/* Members that came later are 0 where the program does not know them, and have to be 0 where this
   library does not. */
static int copy_shrinker(struct oomreclaim_shrinker *copy, const struct oomreclaim_shrinker *given,
                         size_t size)
{
	const size_t oldest = offsetof(struct oomreclaim_shrinker, batch) + sizeof given->batch;

	if (given == NULL || size < oldest)
		return EINVAL;
	if (size > STRUCT_BYTES_MAX)
		return E2BIG;
	for (size_t i = sizeof *copy; i < size; i++)
		if (((const unsigned char *)given)[i] != 0)
			return E2BIG;
	memset(copy, 0, sizeof *copy);
	memcpy(copy, given, size < sizeof *copy ? size : sizeof *copy);
	return 0;
}

OOM_EXPORT int oomreclaim_shrinker_register(const struct oomreclaim_shrinker *shrinker, size_t size,
                                            oomreclaim_handle *handle)
{
	struct oomreclaim_shrinker copy;
	struct registry_new callback;
	int error = copy_shrinker(&copy, shrinker, size);

	if (error != 0)
		return error;
	if (copy.count == NULL || copy.flags == OOMRECLAIM_CALLBACK_ROOM || copy.cost == 0 ||
	    copy.cost > OOMRECLAIM_COST_MAX)
		return EINVAL;
	callback = (struct registry_new){.name = copy.name,
	                                 .priority = copy.priority,
	                                 .flags = copy.flags,
	                                 .function = copy.scan,
	                                 .arg = copy.arg,
	                                 .in_group = heap_ops.group_current(),
	                                 .shrinker = {.count = copy.count,
	                                              .cost = copy.cost,
	                                              .batch = copy.batch}};
	return add(&callback, handle);
}

#ifdef OOM_DEBUG
/* oomreclaim_unregister() waits neither for a handle that does not exist, nor inside a descent. */
static void watch_unregister(oomreclaim_handle handle)
{
	if (!descent_is_open() && registry_has(handle))
		lockdep_might_unregister(handle);
}
#else
#define watch_unregister(handle) ((void)0)
#endif

OOM_EXPORT int oomreclaim_unregister(oomreclaim_handle handle)
{
	watch_unregister(handle);
	if (!registry_remove(handle))
		return EINVAL;
	/* The callback is not called again: a call that is under way now is the last. */
	return calls_wait(handle, handle);
}
