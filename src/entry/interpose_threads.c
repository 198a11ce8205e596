/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pthread_create() and thrd_create(). Not in the static library, where they would be libc's twice.
 *
 * libc allocates for a thread that it makes, and keeps that with the stack for the next thread, when
 * the thread is long over. So that is the process's, whatever group the creating thread is in: a
 * group may end with all that is in it.
 *
 * oomreclaimd is started by pthread_create() too, from inside of malloc(): what that needs of the
 * loader is looked up before main(). The thread that starts it has left its group (background.c).
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <threads.h>

#include "base/base.h"
#include "entry/jump.h"
#include "heap/heap_group.h"
#include "heap/heap_ops.h"

typedef void *start_routine(void *arg);
typedef int pthread_creator(pthread_t *thread, const pthread_attr_t *attributes,
                            start_routine *start, void *arg);
typedef int thrd_creator(thrd_t *thread, thrd_start_t start, void *arg);

static pthread_creator first_pthread_create;
static thrd_creator first_thrd_create;

/* libc's, or those of a library between. At first what looks them up: another library's constructor
   may come before this one's. Relaxed: whatever looks them up finds the same. */
static pthread_creator *next_pthread_create = first_pthread_create;
static thrd_creator *next_thrd_create = first_thrd_create;

#define NEXT(function) __atomic_load_n(&next_##function, __ATOMIC_RELAXED)

static void look_up(void *next, const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (found != NULL)
		__atomic_store_n((void **)next, found, __ATOMIC_RELAXED);
}

__attribute__((constructor)) static void look_up_all(void)
{
	look_up(&next_pthread_create, "pthread_create");
	look_up(&next_thrd_create, "thrd_create");
}

static int first_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                                start_routine *start, void *arg)
{
	look_up_all();
	return NEXT(pthread_create) != first_pthread_create
	               ? NEXT(pthread_create)(thread, attributes, start, arg)
	               : EAGAIN;
}

static int first_thrd_create(thrd_t *thread, thrd_start_t start, void *arg)
{
	look_up_all();
	return NEXT(thrd_create) != first_thrd_create ? NEXT(thrd_create)(thread, start, arg)
	                                              : thrd_error;
}

static OOM_NOINLINE int pthread_create_inside(pthread_t *thread, const pthread_attr_t *attributes,
                                              start_routine *start, void *arg)
{
	unsigned was = heap_leave_group();
	int error = NEXT(pthread_create)(thread, attributes, start, arg);

	heap_return_to_group(was);
	return error;
}

JUMPS OOM_EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                                    start_routine *start, void *arg)
{
	if (unlikely(heap_own_group != 0))
		JUMP pthread_create_inside(thread, attributes, start, arg);
	JUMP NEXT(pthread_create)(thread, attributes, start, arg);
}

static OOM_NOINLINE int thrd_create_inside(thrd_t *thread, thrd_start_t start, void *arg)
{
	unsigned was = heap_leave_group();
	int result = NEXT(thrd_create)(thread, start, arg);

	heap_return_to_group(was);
	return result;
}

JUMPS OOM_EXPORT int thrd_create(thrd_t *thread, thrd_start_t start, void *arg)
{
	if (unlikely(heap_own_group != 0))
		JUMP thrd_create_inside(thread, start, arg);
	JUMP NEXT(thrd_create)(thread, start, arg);
}
