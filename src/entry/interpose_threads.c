/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pthread_create() and thrd_create(). Not in the static library, where they would be libc's twice.
 *
 * libc allocates for a thread that it makes, and keeps that with the stack for the next thread,
 * when the thread is long over. So that is the process's, whatever group the creating thread is in:
 * a group may end with all that is in it.
 *
 * A thread that begins in a group is inside from pthread_create() on, as a task is in its cgroup
 * from fork() on: the group does not end before the thread has begun. The thread itself goes in
 * first of all, and then jumps to the program's function: no frame is left. None of that is a
 * cancellation point.
 *
 * oomreclaimd is started by pthread_create() too, from inside of malloc(): what that needs of the
 * loader is looked up before main(). The thread that starts it has left its group (background.c).
 */
#include "entry/interpose_threads.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <threads.h>

#include "base/base.h"
#include "entry/jump.h"
#include "heap/heap_group.h"
#include "heap/heap_ops.h"
#include "limits/group.h"
#include "reclaim/outside.h"

typedef void *start_routine(void *arg);
typedef int pthread_creator(pthread_t *thread, const pthread_attr_t *attributes,
                            start_routine *start, void *arg);
typedef int thrd_creator(thrd_t *thread, thrd_start_t start, void *arg);

/* ---- libc's own ---- */

static pthread_creator first_pthread_create;
static thrd_creator first_thrd_create;

/* libc's, or those of a library between. At first what looks them up: another library's constructor
   may come before this one's. Relaxed: whatever looks them up finds the same. */
static pthread_creator *next_pthread_create = first_pthread_create;
static thrd_creator *next_thrd_create = first_thrd_create;

/* False where the library was opened by dlopen(), or comes behind libc. */
static bool is_reached;

#define NEXT(function) __atomic_load_n(&next_##function, __ATOMIC_RELAXED)

static void look_up(void *next, const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (found != NULL)
		__atomic_store_n((void **)next, found, __ATOMIC_RELAXED);
}

__attribute__((constructor)) static void look_up_all(void)
{
	void *first = dlsym(RTLD_DEFAULT, "pthread_create");

	look_up(&next_pthread_create, "pthread_create");
	look_up(&next_thrd_create, "thrd_create");
	__atomic_store_n(&is_reached, first != *(void **)&next_pthread_create, __ATOMIC_RELAXED);
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

bool interpose_threads_is_reached(void)
{
	if (NEXT(pthread_create) == first_pthread_create)
		look_up_all();
	return __atomic_load_n(&is_reached, __ATOMIC_RELAXED);
}

/* ---- A thread that begins in a group ---- */

/* What the thread has to know, in a block of the process's. */
struct beginning {
	start_routine *start;
	thrd_start_t start_c11; /* or that */
	void *arg;
	unsigned group; /* by its slot; the thread is inside already, for the count; 0: outside */
};

/* On the thread that creates, outside of its group. NULL: the new thread begins outside. */
static struct beginning *make_beginning(unsigned inside, void *arg)
{
	unsigned group = group_inherited(inside);
	oomreclaim_group handle = group_handle(group);
	struct beginning *made;
	int saved = errno;

	if (group == 0)
		return NULL;
	/* First: a callback that is called for it may leave for good. */
	made = malloc(sizeof *made);
	if (made == NULL || !group_try_enter(group, handle)) {
		free(made);
		errno = saved;
		return NULL;
	}
	*made = (struct beginning){.arg = arg, .group = group};
	group_held.beginning = &made->group;
	return made;
}

/* There is a thread, which is counted itself; or there is none. */
static void hand_over(struct beginning *made, bool is_there, const struct outside *outside)
{
	group_held.beginning = outside->outer.beginning;
	if (is_there)
		return;
	if (made->group != 0)
		group_leave(made->group);
	free(made);
}

/* On the new thread. Without memory for its caches it is outside. */
static OOM_NOINLINE void go_inside(unsigned group)
{
	if (group != 0 && !heap_group_enter(group))
		group_leave(group);
}

JUMPS static void *begin(void *record)
{
	struct beginning *made = record;
	start_routine *start = made->start;
	void *arg = made->arg;
	unsigned group = made->group;

	free(made);
	go_inside(group);
	JUMP start(arg);
}

JUMPS static int begin_c11(void *record)
{
	struct beginning *made = record;
	thrd_start_t start = made->start_c11;
	void *arg = made->arg;
	unsigned group = made->group;

	free(made);
	go_inside(group);
	JUMP start(arg);
}

/* ---- In place of libc's ---- */

static OOM_NOINLINE int pthread_create_inside(pthread_t *thread, const pthread_attr_t *attributes,
                                              start_routine *start, void *arg)
{
	struct outside outside = outside_begin();
	struct beginning *made = make_beginning(outside.was, arg);
	int error;

	if (made != NULL) {
		made->start = start;
		error = NEXT(pthread_create)(thread, attributes, begin, made);
		hand_over(made, error == 0, &outside);
	} else {
		error = NEXT(pthread_create)(thread, attributes, start, arg);
	}
	outside_end(&outside);
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
	struct outside outside = outside_begin();
	struct beginning *made = make_beginning(outside.was, arg);
	int result;

	if (made != NULL) {
		made->start_c11 = start;
		result = NEXT(thrd_create)(thread, begin_c11, made);
		hand_over(made, result == thrd_success, &outside);
	} else {
		result = NEXT(thrd_create)(thread, start, arg);
	}
	outside_end(&outside);
	return result;
}

JUMPS OOM_EXPORT int thrd_create(thrd_t *thread, thrd_start_t start, void *arg)
{
	if (unlikely(heap_own_group != 0))
		JUMP thrd_create_inside(thread, start, arg);
	JUMP NEXT(thrd_create)(thread, start, arg);
}
