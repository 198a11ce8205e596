/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads that are made inside of a group. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

#include "check.h"
#include "oomreclaim_group.h"

#define ROOT OOMRECLAIM_GROUP_ROOT

static oomreclaim_group make(const char *name)
{
	oomreclaim_group group = 0;

	CHECK_EQ(oomreclaim_group_create(name, ROOT, &group), 0);
	return group;
}

/* ---- What libc keeps for a thread ---- */

static void *nothing(void *arg)
{
	return arg;
}

static int nothing_c11(void *arg)
{
	return arg != NULL;
}

static void run_pthread(void)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, nothing, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void run_c11(void)
{
	thrd_t thread;

	CHECK_EQ(thrd_create(&thread, nothing_c11, NULL), thrd_success);
	CHECK_EQ(thrd_join(thread, NULL), thrd_success);
}

/* libc keeps the stack for the next thread, with what is allocated for it: that does not end with
   the group. */
static void kept_for_the_next(void (*run)(void))
{
	oomreclaim_group group = make("first");
	void *blocks[1000];

	oomreclaim_group_enter(group);
	run();
	CHECK(oomreclaim_group_current() == group);
	oomreclaim_group_enter(ROOT);
	CHECK_EQ(oomreclaim_group_destroy(group, OOMRECLAIM_GROUP_FREE), 0);
	/* The next group has the same memory. */
	group = make("next");
	oomreclaim_group_enter(group);
	for (size_t i = 0; i < COUNT(blocks); i++) {
		blocks[i] = malloc(16 * (i % 64 + 1));
		CHECK(blocks[i] != NULL);
		memset(blocks[i], 0xff, 16 * (i % 64 + 1));
	}
	oomreclaim_group_enter(ROOT);
	run();
	oomreclaim_group_enter(group);
	for (size_t i = 0; i < COUNT(blocks); i++)
		free(blocks[i]);
	oomreclaim_group_enter(ROOT);
	CHECK_EQ(oomreclaim_group_destroy(group, 0), 0);
}

static void stacks(void)
{
	kept_for_the_next(run_pthread);
}

static void stacks_c11(void)
{
	kept_for_the_next(run_c11);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"stacks", stacks},
		{"stacks-c11", stacks_c11},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
