/* SPDX-License-Identifier: BSD-2-Clause */
/* When callbacks are told that there is room, who is told, and what oomreclaimd does for it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "background/background.h"
#include "background/room.h"
#include "background_log.h"
#include "budget_set.h"
#include "fake_heap.h"
#include "limits/budget.h"
#include "reclaim/descent.h"
#include "reclaim/reclaim.h"
#include "reclaim/registry.h"
#include "support.h"

#define MIB ((size_t)1 << 20)

static void init(void)
{
	support_init();
	fake_heap_evictable = 0;
	budget_set("limit:64M");
}

TestSuite(room, .init = init, .timeout = WATCHDOG_SECONDS);

/* ---- When ---- */

static struct room_state state;

static bool has_come(uint64_t rounds, size_t headroom_bytes, uint64_t at_ms)
{
	return room_has_come(&state, rounds, headroom_bytes, 64 * MIB, at_ms * NSEC_PER_MSEC);
}

Test(room, only_behind_a_time_of_reclaim)
{
	for (uint64_t ms = 0; ms < 10000; ms += 100)
		cr_assert_not(has_come(0, 64 * MIB, ms));
	cr_expect_not(has_come(1, 64 * MIB, 10000));
	cr_expect_not(has_come(1, 64 * MIB, 10999));
	cr_expect(has_come(1, 64 * MIB, 11000));
	for (uint64_t ms = 11100; ms < 20000; ms += 100)
		cr_assert_not(has_come(1, 64 * MIB, ms), "once");
	cr_expect_not(has_come(2, 64 * MIB, 20000));
	cr_expect(has_come(2, 64 * MIB, 21000));
}

Test(room, not_while_it_goes_on)
{
	for (uint64_t i = 1; i < 100; i++)
		cr_assert_not(has_come(i, 64 * MIB, 900 * i));
	cr_expect(has_come(99, 64 * MIB, 900 * 99 + 1000));
}

Test(room, an_eighth_has_to_be_free)
{
	cr_expect_not(has_come(1, 64 * MIB, 0));
	cr_expect_not(has_come(1, 8 * MIB - 1, 5000));
	cr_expect(has_come(1, 8 * MIB, 6000));
}

Test(room, where_the_limit_has_gone_there_is_room)
{
	has_come(1, 0, 0);
	cr_expect(room_has_come(&state, 1, SIZE_MAX, SIZE_MAX, NSEC_PER_SEC));
}

/* ---- Who ---- */

static struct oomreclaim_control told;
static unsigned tellings;

static size_t tell(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	told = *control;
	tellings++;
	errno = EDOM;
	fake_heap_freed(MIB);
	return 4711;
}

static size_t give(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	++*(unsigned *)arg;
	return 1;
}

static void announce(size_t bytes)
{
	struct descent descent;

	descent_begin(&descent);
	errno = ERRNO_UNTOUCHED;
	reclaim_tell_room(bytes);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	descent_end(&descent);
}

Test(room, those_that_want_to_know_are_told_and_no_other)
{
	struct oomreclaim_reclaim_stats rounds;
	struct oomreclaim_callback_stats stats;
	oomreclaim_handle handle;
	unsigned given = 0;

	cr_assert_eq(oomreclaim_register("a", 0, OOMRECLAIM_CALLBACK_ROOM, tell, NULL, &handle), 0);
	cr_assert_eq(oomreclaim_register("b", 5, 0, give, &given, NULL), 0);
	cr_assert_eq(oomreclaim_register("c", 5, OOMRECLAIM_CALLBACK_BACKGROUND, give, &given,
	                                 NULL),
	             0);
	cr_assert_eq(oomreclaim_register("d", -5, OOMRECLAIM_CALLBACK_ROOM, tell, NULL, NULL), 0);
	announce(5 * MIB);
	cr_expect_eq(tellings, 2, "what the first returns does not count as given");
	cr_expect_eq(given, 0);
	cr_expect_eq(told.reason, OOMRECLAIM_REASON_ROOM);
	cr_expect_eq(told.headroom, 5 * MIB);
	cr_expect_eq(told.bytes_wanted, 0);
	cr_expect_not(told.is_direct);
	cr_expect_str_eq(told.constraint, "NONE");
	cr_assert_eq(oomreclaim_callback_stats(handle, &stats, sizeof stats), 0);
	cr_expect_eq(stats.calls, 1);
	cr_expect_eq(stats.bytes_claimed, 0);
	cr_expect_eq(stats.bytes_measured, 0);
	cr_assert_eq(oomreclaim_reclaim_stats(&rounds, sizeof rounds), 0);
	cr_expect_eq(rounds.background_rounds, 0, "it is no round");
}

Test(room, they_are_never_asked_to_free)
{
	cr_assert_eq(oomreclaim_register("a", 0, OOMRECLAIM_CALLBACK_ROOM, tell, NULL, NULL), 0);
	cr_expect_eq(oomreclaim_reclaim(MIB), 0);
	cr_expect_eq(tellings, 0);
}

Test(room, flags_exclude_each_other)
{
	const struct oomreclaim_shrinker shrinker = {.name = "s",
	                                             .flags = OOMRECLAIM_CALLBACK_ROOM,
	                                             .count = tell,
	                                             .scan = tell,
	                                             .cost = 1};

	for (unsigned flags = 3; flags < 16; flags++)
		if (flags != OOMRECLAIM_CALLBACK_ROOM)
			cr_expect_eq(oomreclaim_register("a", 0, flags, tell, NULL, NULL), EINVAL);
	cr_expect_eq(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, NULL), EINVAL);
}

static size_t leave(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	cr_expect_eq(oomreclaim_unregister(*(oomreclaim_handle *)arg), 0);
	tellings++;
	return 0;
}

Test(room, one_may_unregister_itself)
{
	oomreclaim_handle handle;

	cr_assert_eq(oomreclaim_register("a", 1, OOMRECLAIM_CALLBACK_ROOM, leave, &handle, &handle),
	             0);
	cr_assert_eq(oomreclaim_register("b", 0, OOMRECLAIM_CALLBACK_ROOM, tell, NULL, NULL), 0);
	announce(1);
	cr_expect_eq(tellings, 2);
	announce(1);
	cr_expect_eq(tellings, 3);
}

/* ---- oomreclaimd ---- */

Test(room, the_thread_is_there_once_it_is_asked_for)
{
	cr_expect_not(room_is_wanted());
	cr_expect_eq(room_due_ms(), -1);
	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(oomreclaim_headroom(NULL), 64 * MIB);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	wait_for_thread();
	/* It looks by itself, and forgets that it was asked. */
	while (room_is_asked())
		usleep(1000);
	oomreclaim_headroom(NULL);
	cr_expect(room_is_asked());
}

Test(room, or_a_callback_is_registered)
{
	cr_assert_eq(oomreclaim_register("a", 0, OOMRECLAIM_CALLBACK_ROOM, tell, NULL, NULL), 0);
	wait_for_thread();
}

Test(room, what_is_free_in_the_heap_is_room)
{
	cr_assert(budget_take(60 * MIB));
	cr_expect_eq(oomreclaim_headroom(NULL), 4 * MIB);
	fake_heap_evictable = 10 * MIB;
	cr_expect_eq(oomreclaim_headroom(NULL), 14 * MIB);
	cr_expect_eq(fake_heap_count('c'), 1, "from the first question on it is counted");
}

/* ---- The first reading ---- */

/* Far above what this process has. */
#define FAR ((size_t)1 << 50)

static char pipe_path[1024];
static struct thread reader, other;
static atomic_size_t answers[2];

static void ask_first(void)
{
	answers[0] = oomreclaim_headroom(NULL);
}

/* Returns when a thread is in the middle of the first reading. There is no oomreclaimd. */
static void begin_reading(void)
{
	const struct rlimit limit = {.rlim_cur = FAR, .rlim_max = RLIM_INFINITY};

	fake_clock_freeze();
	fake_proc_begin();
	fake_proc_mkdir("/proc/self");
	fake_proc_path(pipe_path, sizeof pipe_path, "/proc/self/statm");
	cr_assert_eq(mkfifo(pipe_path, 0600), 0);
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
	budget_set("limit:off");
	fake_heap_is_reentrant = true;
	thread_start(&reader, ask_first);
	thread_wait_asleep(&reader);
}

/* It is read twice: before oomreclaimd is called, and behind that. On a busy machine the reader may
   not get on for a while: a file of many lines is none that it would read. */
static void end_reading(void)
{
	while (!reader.has_ended || !other.has_ended) {
		int fd = open(pipe_path, O_RDWR | O_CLOEXEC), unread = 0;

		cr_assert_geq(fd, 0);
		cr_assert_eq(ioctl(fd, FIONREAD, &unread), 0);
		if (unread == 0)
			cr_assert_eq(write(fd, "1 1 1 1 0 1 0\n", 14), 14);
		close(fd);
		usleep(1000);
	}
	thread_join(&reader);
	thread_join(&other);
	fake_proc_end();
}

static void ask_too(void)
{
	const char *constraint;

	answers[1] = oomreclaim_headroom(&constraint);
	if (strcmp(constraint, "RLIMIT_AS") != 0)
		answers[1] = 0;
}

Test(room, whoever_comes_meanwhile_is_told_what_is_read)
{
	begin_reading();
	thread_start(&other, ask_too);
	thread_wait_asleep(&other);
	end_reading();
	cr_expect_eq(answers[0], FAR - 4096);
	cr_expect_eq(answers[1], FAR - 4096);
}

static void look(void)
{
	struct descent descent;

	descent_begin(&descent);
	room_look();
	descent_end(&descent);
}

static size_t count_a_mib(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	return MIB;
}

Test(room, a_cache_has_no_target_from_before_that)
{
	const struct oomreclaim_shrinker shrinker = {.name = "s",
	                                             .count = count_a_mib,
	                                             .scan = count_a_mib,
	                                             .cost = 1};
	oomreclaim_handle handle;
	size_t bytes;
	bool is_new;

	begin_reading();
	cr_assert_eq(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, &handle), 0);
	/* As oomreclaim_cache_target(), which would wait. */
	cr_assert(registry_target(handle, &bytes, &is_new));
	thread_start(&other, look);
	thread_wait_asleep(&other);
	end_reading();
	cr_expect_lt(oomreclaim_cache_target(handle), FAR);
}

/* ThreadSanitizer has no new threads in the child of a threaded process. */
#ifndef __SANITIZE_THREAD__
static void fork_child(void)
{
	if (oomreclaim_headroom(NULL) != 64 * MIB)
		_exit(1);
	background_note_callback();
	wait_for_thread();
	while (room_is_asked())
		usleep(1000);
}

Test(room, and_in_a_child)
{
	oomreclaim_headroom(NULL);
	wait_for_thread();
	cr_expect_eq(run_child(fork_child), 0);
}
#endif
