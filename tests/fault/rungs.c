/* SPDX-License-Identifier: BSD-2-Clause */
/* Every rung of the ladder, with faults on its way. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nth.h"

#define BIG (24 * MIB)
#define BLOCK (8 * MIB)

static struct pool cache;
static bool has_callback;
static unsigned calls;

static bool take(void *memory)
{
	if (nth_refused(memory))
		return false;
	memset(memory, 1, 4096);
	free(memory);
	return true;
}

static bool take_in(unsigned scope, size_t bytes)
{
	unsigned old = oomreclaim_scope_save(scope);
	bool is_done = take(malloc(bytes));

	oomreclaim_scope_restore(old);
	return is_done;
}

static size_t evict(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	calls++;
	return pool_evict(&cache, control->bytes_wanted);
}

/* As a cache does that writes back what it gives up. */
static size_t evict_by_a_list(const struct oomreclaim_control *control, void *arg)
{
	char *list = malloc(3000), *longer;

	(void)arg;
	calls++;
	if (list) {
		memset(list, 1, 3000);
		longer = realloc(list, 100 * KIB);
		free(longer ? longer : list);
	}
	return pool_evict(&cache, control->bytes_wanted);
}

static void fill(oomreclaim_callback *function)
{
	if (!has_callback)
		CHECK_EQ(oomreclaim_register("cache", 0, 0, function, NULL, NULL), 0);
	has_callback = true;
	while (cache.count < 8)
		CHECK(pool_add(&cache, BLOCK));
}

static void fill_plain(void)
{
	fill(evict);
}

static void fill_list(void)
{
	fill(evict_by_a_list);
}

/* What is freed and not given back yet is enough, whatever fails. */
static bool run_own_reclaim(void)
{
	void *freed = malloc(BIG);

	if (nth_refused(freed))
		return false;
	memset(freed, 1, BIG);
	free(freed);
	return take_in(OOMRECLAIM_SCOPE_NORETRY, BIG / 2);
}

static uint64_t failures(void)
{
	struct oomreclaim_stats stats;

	CHECK_EQ(oomreclaim_stats_get(&stats, sizeof stats), 0);
	return stats.failures;
}

/* The first large block comes with an arena, which is mapped beforehand. */
static void warm_up(void)
{
	errno = ERRNO_UNTOUCHED;
	CHECK(take(malloc(BIG)));
}

/* Where mmap() fails by injection, sbrk() does not make up for it. Seen by the first that fails:
   where sbrk() itself was refused once, as by what comes before each other run, it is not asked
   again. */
static void fail_first(void)
{
	static const struct oomreclaim_fault first = {.probability = 100,
	                                              .interval = 1,
	                                              .times = 1,
	                                              .task_filter = true};
	static bool is_done;
	uint64_t injected = oomreclaim_fault_injected(), before;
	bool was_on;

	warm_up();
	if (is_done)
		return;
	is_done = true;
	before = failures();
	CHECK_EQ(oomreclaim_fault_set(&first, sizeof first), 0);
	was_on = oomreclaim_fault_thread(true);
	CHECK(take(malloc(2 * BIG)));
	oomreclaim_fault_thread(was_on);
	CHECK_EQ(oomreclaim_fault_injected(), injected + 1);
	CHECK_EQ(failures(), before + 1);
}

static bool run_reaches_ladder(void)
{
	uint64_t injected = oomreclaim_fault_injected(), before = failures();
	bool is_done = take(malloc(BIG));

	CHECK(oomreclaim_fault_injected() == injected || failures() > before);
	return is_done;
}

static bool run_callbacks(void)
{
	bool is_done = take(malloc(BIG));

	/* Each but the last of the attempts came after something was given back. */
	CHECK(is_done || cache.count == 0);
	return is_done;
}

static bool run_noretry(void)
{
	unsigned before = calls;
	bool is_done = take_in(OOMRECLAIM_SCOPE_NORETRY, BIG);

	CHECK(calls == before);
	return is_done;
}

static bool run_mayfail(void)
{
	return take_in(OOMRECLAIM_SCOPE_RETRY_MAYFAIL, BIG);
}

static bool run_noreclaim(void)
{
	unsigned before = calls;
	bool is_done = take_in(OOMRECLAIM_SCOPE_NORECLAIM, BIG);

	CHECK(calls == before);
	return is_done;
}

/* What fits into the reserve is there. */
static bool run_reserve(void)
{
	return take_in(OOMRECLAIM_SCOPE_RESERVE, 200 * KIB);
}

static bool run_nofail(void)
{
	return take_in(OOMRECLAIM_SCOPE_NOFAIL, BIG);
}

static bool run_by_hand(void)
{
	void *memory;

	oomreclaim_reclaim(BIG);
	memory = malloc(BIG);
	return take(memory);
}

static void *fail_too(void *is_done)
{
	oomreclaim_fault_thread(true);
	errno = ERRNO_UNTOUCHED;
	*(bool *)is_done = take(malloc(BIG));
	return NULL;
}

/* Several fail at the same time: one calls the callbacks, the others wait. */
static bool run_join(void)
{
	pthread_t threads[4];
	bool is_done[COUNT(threads)] = {false}, is_all = true;
	size_t count = 0;

	oomreclaim_fault_thread(false);
	while (count < COUNT(threads)) {
		CHECK_EQ(pthread_create(&threads[count], NULL, fail_too, &is_done[count]), 0);
		count++;
	}
	while (count-- > 0) {
		pthread_join(threads[count], NULL);
		is_all = is_all && is_done[count];
	}
	return is_all;
}

enum { CHILD_REFUSED = 2, CHILD_SIGNALLED = 3 };

static void on_signal(int number)
{
	(void)number;
	nth_exit(CHILD_SIGNALLED);
}

/* The policy ends a child when all has failed, by a signal that the child turns into a status. */
static bool end_by(enum oomreclaim_policy policy, int number)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		signal(number, on_signal);
		CHECK_EQ(oomreclaim_set_policy(policy), 0);
		nth_exit(take_in(0, 30 * KIB) && take(malloc(BIG)) ? 0 : CHILD_REFUSED);
	}
	status = check_child(child);
	CHECK(status == 0 || status == CHILD_SIGNALLED || status == CHILD_REFUSED);
	return status == 0;
}

static bool run_abort(void)
{
	return end_by(OOMRECLAIM_POLICY_ABORT, SIGABRT);
}

static bool run_kill(void)
{
	return end_by(OOMRECLAIM_POLICY_KILL, SIGTERM);
}

int main(int argc, char **argv)
{
	static const struct operation operations[] = {
		{"own-reclaim", run_own_reclaim, NULL, 1},
		{"reaches-ladder", run_reaches_ladder, fail_first, 1},
		{"callbacks", run_callbacks, fill_plain, 3},
		{"callback-allocates", run_callbacks, fill_list, 3},
		{"noretry", run_noretry, fill_plain, 1},
		{"mayfail", run_mayfail, fill_plain, 3},
		{"noreclaim", run_noreclaim, fill_plain, 1},
		{"reserve", run_reserve, NULL, ANY_NUMBER},
		{"nofail", run_nofail, NULL, ANY_NUMBER},
		{"by-hand", run_by_hand, fill_list, 1},
		{"join", run_join, fill_plain, 1},
		{"abort", run_abort, NULL, 1},
		{"kill", run_kill, NULL, 1},
	};

	return nth_main(argc, argv, operations, COUNT(operations));
}
