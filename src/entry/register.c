/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim_register() and oomreclaim_unregister(): they allocate, wait, and tell the
   background. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "background/background.h"
#include "base/base.h"
#include "entry/dry_run.h"
#include "lockdep/watch.h"
#include "oomreclaim.h"
#include "reclaim/calls.h"
#include "reclaim/registry.h"
#include "reclaim/scope.h"

/* DIRECT and BACKGROUND exclude each other: both set would exclude every call. */
#define FLAGS_ALL ((unsigned)(OOMRECLAIM_CALLBACK_DIRECT | OOMRECLAIM_CALLBACK_BACKGROUND))

OOM_EXPORT int oomreclaim_register(const char *name, int priority, unsigned flags,
                                   oomreclaim_callback *function, void *arg,
                                   oomreclaim_handle *handle)
{
	const struct registry_new callback = {name, priority, flags, function, arg};
	oomreclaim_handle given;
	void *memory;
	int saved;

	if (name == NULL || name[0] == '\0' || function == NULL || (flags & ~FLAGS_ALL) != 0 ||
	    (flags & FLAGS_ALL) == FLAGS_ALL)
		return EINVAL;
	if (strlen(name) > OOMRECLAIM_NAME_MAX)
		return ENAMETOOLONG;
	/* An allocation like any other: it may climb the ladder, and from a callback it is served
	   from the reserve. */
	saved = errno;
	memory = malloc(registry_entry_bytes);
	errno = saved;
	if (memory == NULL)
		return ENOMEM;
	given = registry_add(memory, &callback, free);
	if (handle != NULL)
		*handle = given;
	dry_run_begin(given, flags);
	background_note_callback();
	return 0;
}

#ifdef OOM_DEBUG
/* Nobody is waited for where there is no such callback, nor from inside the ladder. */
static void watch_unregister(oomreclaim_handle handle)
{
	if (!scope_is_in_ladder() && registry_has(handle))
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
	/* It is not called again: what is under way now is the last call. */
	return calls_wait(handle, handle);
}
