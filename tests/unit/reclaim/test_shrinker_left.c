/* SPDX-License-Identifier: BSD-2-Clause */
/* Shrinkers that leave by longjmp(), against the rules: for the round to come they are as any
   other. */
#include <setjmp.h>

#include "shrinkers.h"

TestSuite(shrinker_left, .init = support_init, .timeout = WATCHDOG_SECONDS);

static jmp_buf outside;

/* A cache. Its count() or scan() does not come back where the flag says so. */
struct leaving {
	struct cache cache;
	bool leaves_count, leaves_scan;
	unsigned left;
};

static void leave_if(struct leaving *leaving, bool leaves)
{
	if (!leaves)
		return;
	leaving->left++;
	longjmp(outside, 1);
}

static size_t count_or_leave(const struct oomreclaim_control *control, void *arg)
{
	struct leaving *leaving = arg;

	leave_if(leaving, leaving->leaves_count);
	return cache_count(control, &leaving->cache);
}

static size_t scan_or_leave(const struct oomreclaim_control *control, void *arg)
{
	struct leaving *leaving = arg;

	leave_if(leaving, leaving->leaves_scan);
	return cache_scan(control, &leaving->cache);
}

/* With a frame of its own, which the jump leaves. */
__attribute__((noinline)) static void want_below(size_t bytes)
{
	want(bytes);
}

static void want_or_be_left(size_t bytes)
{
	if (setjmp(outside) == 0)
		want_below(bytes);
}

static struct oomreclaim_callback_stats stats_of(oomreclaim_handle handle)
{
	struct oomreclaim_callback_stats stats;

	cr_assert_eq(oomreclaim_callback_stats(handle, &stats, sizeof stats), 0);
	return stats;
}

/* It has not said that it has nothing: what is due from it stays. */
Test(shrinker_left, a_count_that_is_left_is_one_that_stopped)
{
	static struct leaving leaving = {.cache.bytes = 8 * MIB, .cache.is_locked = true};
	static struct cache other = {.bytes = 8 * MIB};
	struct oomreclaim_callback_stats before, after;
	oomreclaim_handle handle = add(count_or_leave, scan_or_leave, &leaving);

	cache_add(&other);
	cr_expect_eq(want(2 * MIB).claimed_bytes, 2 * MIB);
	before = stats_of(handle);
	cr_assert_gt(before.bytes_deferred, 0);
	leaving.leaves_count = true;
	want_or_be_left(MIB);
	cr_expect_eq(leaving.left, 1);
	after = stats_of(handle);
	cr_expect_eq(after.bytes_deferred, before.bytes_deferred);
	cr_expect_eq(after.stops, before.stops + 1);
	cr_expect_eq(after.counts, before.counts + 1);
	cr_expect_eq(after.calls, before.calls);
}

static struct leaving scans = {.cache.bytes = 8 * MIB, .leaves_scan = true};

/* The round is over, and another begins the next one. */
Test(shrinker_left, one_whose_scan_is_left_does_not_keep_others_from_being_asked)
{
	static struct cache other = {.bytes = 8 * MIB};

	add(count_or_leave, scan_or_leave, &scans);
	cache_add(&other);
	for (int i = 0; i < 2; i++)
		want_or_be_left(MIB);
	cr_expect_eq(scans.left, 1 + (other.lost < MIB));
	cr_expect_gt(other.lost, 0);
}

/* As from one that gave nothing; what it gave before counts. */
Test(shrinker_left, what_a_scan_that_is_left_was_asked_for_is_due)
{
	oomreclaim_handle handle = add(count_or_leave, scan_or_leave, &scans);
	struct oomreclaim_callback_stats stats;

	want_or_be_left(MIB);
	cr_expect_eq(scans.left, 1);
	stats = stats_of(handle);
	cr_expect_eq(stats.calls, 1);
	cr_expect_eq(stats.stops, 0);
	cr_expect_eq(stats.bytes_deferred, MIB);
}
