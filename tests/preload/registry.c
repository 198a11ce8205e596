/* SPDX-License-Identifier: BSD-2-Clause */
/* Registering and unregistering, at every moment: before, between, and from inside a call. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim.h"

static struct pool pool;
static int calls[4];

/* A failure, and so one round of everybody, since nobody gives anything. */
static void round_of_calls(void)
{
	memset(calls, 0, sizeof calls);
	errno = 0;
	CHECK(!malloc(MIB));
	CHECK_EQ(errno, ENOMEM);
}

static size_t count(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	++*(int *)arg;
	return 0;
}

static void errors(void)
{
	const char longest[] = "1234567890123456789012345678901";
	const char too_long[] = "12345678901234567890123456789012";
	struct oomreclaim_callback_stats stats;
	oomreclaim_handle handle = 4711, second;

	errno = ERRNO_UNTOUCHED;
	CHECK(oomreclaim_register(NULL, 0, 0, count, NULL, &handle) == EINVAL);
	CHECK(oomreclaim_register("", 0, 0, count, NULL, &handle) == EINVAL);
	CHECK(oomreclaim_register("x", 0, 0, NULL, NULL, &handle) == EINVAL);
	CHECK(oomreclaim_register("x", 0, 8, count, NULL, &handle) == EINVAL);
	CHECK(oomreclaim_register("x", 0,
	                          OOMRECLAIM_CALLBACK_DIRECT | OOMRECLAIM_CALLBACK_BACKGROUND,
	                          count, NULL, &handle) == EINVAL);
	CHECK(oomreclaim_register(too_long, 0, 0, count, NULL, &handle) == ENAMETOOLONG);
	CHECK(handle == 4711);
	CHECK(oomreclaim_unregister(4711) == EINVAL);
	CHECK(oomreclaim_unregister(0) == EINVAL);
	CHECK(oomreclaim_register(longest, 0, 0, count, &calls[0], &handle) == 0);
	CHECK(oomreclaim_register(longest, 0, 0, count, &calls[1], &second) == 0);
	CHECK(handle != 0 && second != 0 && handle != second);
	CHECK(oomreclaim_callback_stats(handle, NULL, sizeof stats) == EINVAL);
	CHECK(oomreclaim_callback_stats(4711, &stats, sizeof stats) == EINVAL);
	/* A program of an older header gets what it has room for. */
	memset(&stats, 0xff, sizeof stats);
	CHECK(oomreclaim_callback_stats(handle, &stats, sizeof stats.calls) == 0);
	CHECK(stats.calls == 0 && stats.bytes_claimed == UINT64_MAX);
	CHECK(oomreclaim_unregister(handle) == 0);
	CHECK(oomreclaim_unregister(handle) == EINVAL);
	CHECK(oomreclaim_callback_stats(handle, &stats, sizeof stats) == EINVAL);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
	exhaust(&pool);
	round_of_calls();
	CHECK(calls[0] == 0 && calls[1] == 1);
}

static oomreclaim_handle handles[4];

static size_t enlist_another(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	calls[0]++;
	/* Out of the reserve: there is nothing else. */
	if (!handles[1])
		CHECK(oomreclaim_register("new", 0, 0, count, &calls[1], &handles[1]) == 0);
	return 0;
}

/* What is registered from a callback is called from the next round on. */
static void from_callback(void)
{
	CHECK(oomreclaim_register("first", 1, 0, enlist_another, NULL, NULL) == 0);
	handles[1] = 1; /* not while memory is being used up */
	exhaust(&pool);
	handles[1] = 0;
	round_of_calls();
	CHECK(calls[0] == 1 && calls[1] == 0);
	round_of_calls();
	CHECK(calls[0] == 1 && calls[1] == 1);
	CHECK(oomreclaim_unregister(handles[1]) == 0);
}

static bool is_live;

static size_t dismiss(const struct oomreclaim_control *control, void *arg)
{
	oomreclaim_handle *handle = arg;

	(void)control;
	if (!is_live)
		return 0;
	calls[handle - handles]++;
	/* Itself, the one before and the one behind. */
	for (size_t i = 0; i < 3; i++)
		CHECK(oomreclaim_unregister(handles[i]) == 0);
	CHECK(oomreclaim_unregister(*handle) == EINVAL);
	return 0;
}

static void dismissal(void)
{
	struct oomreclaim_callback_stats stats;

	CHECK(oomreclaim_register("before", 3, 0, count, &calls[0], &handles[0]) == 0);
	CHECK(oomreclaim_register("self", 2, 0, dismiss, &handles[1], &handles[1]) == 0);
	CHECK(oomreclaim_register("behind", 1, 0, count, &calls[2], &handles[2]) == 0);
	CHECK(oomreclaim_register("last", 0, 0, count, &calls[3], &handles[3]) == 0);
	exhaust(&pool);
	is_live = true;
	round_of_calls();
	CHECK(calls[0] == 1 && calls[1] == 1 && calls[2] == 0 && calls[3] == 1);
	CHECK(oomreclaim_callback_stats(handles[1], &stats, sizeof stats) == EINVAL);
	round_of_calls();
	CHECK(calls[0] == 0 && calls[1] == 0 && calls[2] == 0 && calls[3] == 1);
	CHECK(oomreclaim_unregister(handles[1]) == EINVAL);
	CHECK(oomreclaim_unregister(handles[3]) == 0);
}

static sem_t is_inside, may_leave, may_remove;
static bool has_left;
static pid_t remover;

static size_t block(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	if (!is_live)
		return 0;
	sem_post(&is_inside);
	sem_wait(&may_leave);
	__atomic_store_n(&has_left, true, __ATOMIC_SEQ_CST);
	return 0;
}

static void *remove_it(void *arg)
{
	(void)arg;
	sem_wait(&may_remove);
	__atomic_store_n(&remover, gettid(), __ATOMIC_SEQ_CST);
	CHECK(oomreclaim_unregister(handles[0]) == 0);
	/* Its argument may be freed now. */
	CHECK(__atomic_load_n(&has_left, __ATOMIC_SEQ_CST));
	return NULL;
}

static void *wait_to_fail(void *arg)
{
	(void)arg;
	sem_wait(&may_leave);
	round_of_calls();
	return NULL;
}

/* While it runs on another thread: unregister waits, and without a time limit. */
static void in_flight(void)
{
	pthread_t failing, removing;

	CHECK(sem_init(&may_remove, 0, 0) == 0);
	CHECK(sem_init(&is_inside, 0, 0) == 0 && sem_init(&may_leave, 0, 0) == 0);
	CHECK(oomreclaim_register("block", 0, 0, block, NULL, &handles[0]) == 0);
	CHECK(pthread_create(&failing, NULL, wait_to_fail, NULL) == 0);
	CHECK(pthread_create(&removing, NULL, remove_it, NULL) == 0);
	exhaust(&pool);
	is_live = true;
	sem_post(&may_leave);
	sem_wait(&is_inside);
	sem_post(&may_remove);
	check_asleep(&remover);
	sem_post(&may_leave);
	pthread_join(removing, NULL);
	pthread_join(failing, NULL);
	CHECK(oomreclaim_unregister(handles[0]) == EINVAL);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"errors", errors},
		{"from-callback", from_callback},
		{"dismissal", dismissal},
		{"in-flight", in_flight},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
