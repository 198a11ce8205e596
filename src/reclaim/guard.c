/* SPDX-License-Identifier: BSD-2-Clause */
#include "reclaim/guard.h"

#include "base/base.h"

/* glibc's, exported since 2.2.5 and declared nowhere. The macros of pthread.h that are for programs
   see no longjmp(). Not in libc.a: in a static program jumps are not seen. */
__attribute__((weak)) void _pthread_cleanup_push(struct _pthread_cleanup_buffer *buffer,
                                                 void (*routine)(void *), void *arg);
__attribute__((weak)) void _pthread_cleanup_pop(struct _pthread_cleanup_buffer *buffer,
                                                int execute);

static void note(struct guard *guard, void (*routine)(void *))
{
	if (_pthread_cleanup_push != NULL)
		_pthread_cleanup_push(&guard->cleanup, routine, guard);
}

static void forget(struct guard *guard)
{
	if (_pthread_cleanup_pop != NULL)
		_pthread_cleanup_pop(&guard->cleanup, 0);
}

static void leave(void *arg)
{
	struct guard *guard = arg;

	if (!guard->is_inside)
		return;
	guard->is_inside = false;
	guard->has_given_up = true;
	guard->give_up(guard->arg);
}

void guard_begin(struct guard *guard, void (*give_up)(void *arg), void *arg)
{
	guard->give_up = give_up;
	guard->arg = arg;
	guard->has_given_up = false;
	guard->is_inside = true;
	note(guard, leave);
}

bool guard_end(struct guard *guard)
{
	forget(guard);
	guard->is_inside = false;
	return !guard->has_given_up;
}

OOM_NOINLINE void guard_unwound(struct guard *guard)
{
	if (guard->is_inside)
		forget(guard);
	leave(guard);
}
