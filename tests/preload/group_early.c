/* SPDX-License-Identifier: BSD-2-Clause */
/* Preloaded behind the library, and so set up before it: threads that its constructor makes inside
   of a group. EARLY_FIRST in the environment is what it does first. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

#include "check.h"
#include "oomreclaim_group.h"

static oomreclaim_group group;

static void *begin(void *arg)
{
	CHECK(oomreclaim_group_current() == group);
	return arg;
}

static int begin_c11(void *arg)
{
	return begin(arg) == NULL;
}

static void make_pthread(void)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, begin, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void make_c11(void)
{
	thrd_t thread;
	int result = 0;

	CHECK_EQ(thrd_create(&thread, begin_c11, NULL), thrd_success);
	CHECK_EQ(thrd_join(thread, &result), thrd_success);
	CHECK_EQ(result, 1);
}

__attribute__((constructor)) static void early(void)
{
	const char *first = getenv("EARLY_FIRST");

	if (first != NULL && !strcmp(first, "pthread"))
		make_pthread();
	else if (first != NULL && !strcmp(first, "c11"))
		make_c11();
	CHECK_EQ(oomreclaim_group_create("early", OOMRECLAIM_GROUP_ROOT, &group), 0);
	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_INHERIT, 1), 0);
	oomreclaim_group_enter(group);
	CHECK(oomreclaim_group_current() == group);
	make_pthread();
	make_c11();
	oomreclaim_group_enter(OOMRECLAIM_GROUP_ROOT);
	CHECK_EQ(oomreclaim_group_destroy(group, 0), 0);
}
