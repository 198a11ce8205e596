/* SPDX-License-Identifier: BSD-2-Clause */
/* What is set of a group while another thread ends the group. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

#include "add_group.h"
#include "oomreclaim_group.h"
#include "protect_table.h"

#define MAX 1000

static oomreclaim_group group, next;
static unsigned slot;
static sem_t begin, ended;

/* The group ends, and a new one has its slot. */
static void *end_group(void *arg)
{
	unsigned others = 0;

	sem_wait(&begin);
	remove_group(slot);
	while (add_group("next", 0) != slot)
		cr_assert_lt(++others, GROUP_SLOTS);
	next = group_handle(slot);
	sem_post(&ended);
	return arg;
}

/* A thread has found the group, and is about to write its attribute: time enough for the other
   thread to end the group, if it can. */
static void write_is_due(int signal)
{
	struct timespec until;

	(void)signal;
	protect_table(PROT_READ | PROT_WRITE);
	sem_post(&begin);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	while (sem_timedwait(&ended, &until) != 0)
		if (errno == ETIMEDOUT)
			return;
	sem_post(&ended);
}

static void start(pthread_t *thread)
{
	const struct sigaction action = {.sa_handler = write_is_due};

	slot = add_group("first", 0);
	group = group_handle(slot);
	sem_init(&begin, 0, 0);
	sem_init(&ended, 0, 0);
	cr_assert_eq(sigaction(SIGSEGV, &action, NULL), 0);
	cr_assert_eq(pthread_create(thread, NULL, end_group, NULL), 0);
}

static void set_while_it_ends(enum oomreclaim_group_attribute attribute, int64_t value)
{
	pthread_t thread;
	int64_t before, after;

	start(&thread);
	cr_assert_eq(oomreclaim_group_get(group, attribute, &before), 0);
	protect_table(PROT_READ);
	cr_expect_eq(oomreclaim_group_set(group, attribute, value), 0);
	pthread_join(thread, NULL);
	cr_assert_eq(oomreclaim_group_get(next, attribute, &after), 0);
	cr_expect_eq(after, before, "%d is that of another group", (int)attribute);
	cr_expect_eq(oomreclaim_group_get(group, attribute, &after), EINVAL);
	cr_expect_eq(oomreclaim_group_set(group, attribute, value), EINVAL);
}

Test(group_attributes, max_is_of_no_other_group)
{
	set_while_it_ends(OOMRECLAIM_GROUP_MAX, MAX);
}

Test(group_attributes, policy_is_of_no_other_group)
{
	set_while_it_ends(OOMRECLAIM_GROUP_POLICY, OOMRECLAIM_POLICY_ABORT);
}

Test(group_attributes, errno_is_as_it_was)
{
	unsigned one = add_group("one", 0);
	int64_t value;

	errno = EXDEV;
	cr_expect_eq(oomreclaim_group_set(group_handle(one), OOMRECLAIM_GROUP_MAX, MAX), 0);
	cr_expect_eq(oomreclaim_group_get(group_handle(one), OOMRECLAIM_GROUP_MAX, &value), 0);
	cr_expect_eq(value, MAX);
	cr_expect_eq(errno, EXDEV);
}
