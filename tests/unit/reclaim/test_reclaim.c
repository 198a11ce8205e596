/* SPDX-License-Identifier: BSD-2-Clause */
/* One round of callbacks: how far it goes, and what it comes to. test_reclaim_threads.c has what
   happens when several threads want one. */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/base.h"
#include "fake_heap.h"
#include "reclaim/descent.h"
#include "reclaim/reclaim.h"
#include "support.h"

TestSuite(reclaim, .init = support_init, .timeout = WATCHDOG_SECONDS);

/* A callback that claims `claims` and frees what the other members say. */
struct giver {
	char letter;
	size_t claims, frees, takes;
	struct oomreclaim_control told;
	oomreclaim_handle handle;
};

static size_t give(const struct oomreclaim_control *control, void *arg)
{
	struct giver *giver = arg;

	fake_heap_note(giver->letter);
	giver->told = *control;
	fake_heap_freed(giver->frees);
	fake_heap_allocated(giver->takes);
	errno = EDOM;
	return giver->claims;
}

static struct giver a = {.letter = 'A'}, b = {.letter = 'B'}, c = {.letter = 'C'};

static void add_three(void)
{
	oomreclaim_register("a", 3, 0, give, &a, &a.handle);
	oomreclaim_register("b", 2, 0, give, &b, &b.handle);
	oomreclaim_register("c", 1, 0, give, &c, &c.handle);
}

static struct reclaim_progress run(const struct reclaim_request *request)
{
	struct reclaim_progress progress = {.claimed_bytes = 4711, .has_timed_out = true};
	struct descent descent;

	descent_begin(&descent);
	errno = ERRNO_UNTOUCHED;
	reclaim_round(request, &progress);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	descent_end(&descent);
	return progress;
}

static struct reclaim_progress want(size_t bytes)
{
	const struct reclaim_request request = {.wanted_bytes = bytes,
	                                        .constraint = "NONE",
	                                        .reason = OOMRECLAIM_REASON_ALLOC};

	return run(&request);
}

/* ---- How far ---- */

Test(reclaim, nobody_to_ask)
{
	struct reclaim_progress progress = want(1000);

	cr_expect_eq(progress.claimed_bytes, 0);
	cr_expect_eq(progress.measured_bytes, 0);
	cr_expect_not(progress.has_timed_out);
}

Test(reclaim, until_it_is_covered)
{
	struct reclaim_progress progress;

	a.claims = 600;
	b.claims = 400;
	add_three();
	progress = want(1000);
	cr_expect_str_eq(fake_heap_trace(), "ABf", "c is not needed");
	cr_expect_eq(progress.claimed_bytes, 1000);
	cr_expect_eq(a.told.bytes_wanted, 1000);
	cr_expect_eq(b.told.bytes_wanted, 400, "what is left");
}

Test(reclaim, one_byte_less_is_not_enough)
{
	a.claims = 600;
	b.claims = 399;
	add_three();
	want(1000);
	cr_expect_str_eq(fake_heap_trace(), "ABCf");
	cr_expect_eq(c.told.bytes_wanted, 1);
}

Test(reclaim, everybody_once)
{
	add_three();
	want(1000);
	cr_expect_str_eq(fake_heap_trace(), "ABCf");
}

Test(reclaim, claims_do_not_wrap)
{
	struct reclaim_progress progress;

	a.claims = SIZE_MAX - 1;
	b.claims = SIZE_MAX - 1;
	add_three();
	progress = want(SIZE_MAX);
	cr_expect_str_eq(fake_heap_trace(), "ABf");
	cr_expect_eq(progress.claimed_bytes, SIZE_MAX);
}

/* As a shrinker says it, by a callback that could not take its lock. */
Test(reclaim, not_now_is_nothing)
{
	struct oomreclaim_callback_stats stats;
	struct reclaim_progress progress;

	a.claims = OOMRECLAIM_STOP;
	b.claims = 1000;
	add_three();
	progress = want(1000);
	cr_expect_str_eq(fake_heap_trace(), "ABf");
	cr_expect_eq(progress.claimed_bytes, 1000);
	cr_assert_eq(oomreclaim_callback_stats(a.handle, &stats, sizeof stats), 0);
	cr_expect_eq(stats.calls, 1);
	cr_expect_eq(stats.bytes_claimed, 0);
	cr_expect_eq(stats.stops, 0);
}

/* ---- What it comes to ---- */

Test(reclaim, measured_is_what_was_freed_less_what_was_taken)
{
	struct oomreclaim_callback_stats stats;
	struct reclaim_progress progress;

	a = (struct giver){.letter = 'A', .claims = 10, .frees = 500, .takes = 200};
	b = (struct giver){.letter = 'B', .claims = 20, .frees = 100, .takes = 900};
	c = (struct giver){.letter = 'C', .claims = 30, .frees = 70};
	add_three();
	progress = want(1000);
	cr_expect_eq(progress.claimed_bytes, 60);
	cr_expect_eq(progress.measured_bytes, 370, "b has taken more than it gave: nothing");
	oomreclaim_callback_stats(a.handle, &stats, sizeof stats);
	cr_expect_eq(stats.bytes_claimed, 10);
	cr_expect_eq(stats.bytes_measured, 300);
	oomreclaim_callback_stats(b.handle, &stats, sizeof stats);
	cr_expect_eq(stats.bytes_measured, 0);
}

static size_t spend_time(const struct oomreclaim_control *control, void *arg)
{
	uint64_t began_ns = now_ns();

	(void)control;
	(void)arg;
	while (now_ns() == began_ns)
		;
	return 0;
}

Test(reclaim, the_longest_call_is_measured)
{
	struct oomreclaim_callback_stats stats;
	oomreclaim_handle handle;

	oomreclaim_register("slow", 0, 0, spend_time, NULL, &handle);
	want(1);
	oomreclaim_callback_stats(handle, &stats, sizeof stats);
	cr_expect_eq(stats.calls, 1);
	cr_expect_gt(stats.longest_ns, 0);
}

Test(reclaim, what_a_callback_is_told)
{
	const struct reclaim_request request = {.wanted_bytes = 1000,
	                                        .size = 900,
	                                        .alignment = 64,
	                                        .reason = OOMRECLAIM_REASON_ALLOC,
	                                        .constraint = "RLIMIT_AS",
	                                        .attempt = 3};

	add_three();
	run(&request);
	cr_expect_eq(a.told.struct_size, sizeof a.told);
	cr_expect_eq(a.told.bytes_wanted, 1000);
	cr_expect_eq(a.told.size, 900);
	cr_expect_eq(a.told.alignment, 64);
	cr_expect_eq(a.told.reason, OOMRECLAIM_REASON_ALLOC);
	cr_expect_str_eq(a.told.constraint, "RLIMIT_AS");
	cr_expect_eq(a.told.attempt, 3);
	cr_expect(a.told.is_direct);
}

Test(reclaim, background_is_not_direct)
{
	const struct reclaim_request request = {.wanted_bytes = 1,
	                                        .constraint = "NONE",
	                                        .is_background = true};

	add_three();
	run(&request);
	cr_expect_not(a.told.is_direct);
}

Test(reclaim, totals_by_kind)
{
	const struct reclaim_request background = {.wanted_bytes = 1000,
	                                           .constraint = "NONE",
	                                           .is_background = true};
	struct oomreclaim_reclaim_stats stats;

	a = (struct giver){.letter = 'A', .claims = 100, .frees = 10};
	add_three();
	want(1000);
	want(1000);
	run(&background);
	cr_assert_eq(oomreclaim_reclaim_stats(&stats, sizeof stats), 0);
	cr_expect_eq(stats.direct_rounds, 2);
	cr_expect_eq(stats.direct_bytes_claimed, 200);
	cr_expect_eq(stats.direct_bytes_measured, 20);
	cr_expect_eq(stats.background_rounds, 1);
	cr_expect_eq(stats.background_bytes_claimed, 100);
	cr_expect_eq(stats.background_bytes_measured, 10);
	stats.direct_bytes_claimed = 4711;
	cr_assert_eq(oomreclaim_reclaim_stats(&stats, sizeof stats.direct_rounds), 0);
	cr_expect_eq(stats.direct_bytes_claimed, 4711, "behind the end");
	cr_expect_eq(oomreclaim_reclaim_stats(NULL, sizeof stats), EINVAL);
}

/* ---- oomreclaim_reclaim() ---- */

Test(reclaim, by_hand)
{
	a.claims = 600;
	b.claims = 500;
	add_three();
	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(oomreclaim_reclaim(1000), 1100);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_str_eq(fake_heap_trace(), "fpABfp", "own caches first");
	cr_expect_eq(a.told.reason, OOMRECLAIM_REASON_MANUAL);
	cr_expect_eq(a.told.bytes_wanted, 1000);
	cr_expect_eq(a.told.size, 0);
	cr_expect_eq(a.told.alignment, 0);
	cr_expect_eq(a.told.attempt, 0);
	cr_expect_str_eq(a.told.constraint, "NONE");
	cr_expect_not(descent_is_open());
}

Test(reclaim, by_hand_of_nothing)
{
	a.claims = 600;
	add_three();
	cr_expect_eq(oomreclaim_reclaim(0), 0);
	cr_expect_str_eq(fake_heap_trace(), "");
}

Test(reclaim, by_hand_in_scope_noreclaim)
{
	unsigned old = oomreclaim_scope_save(OOMRECLAIM_SCOPE_NORECLAIM);

	a.claims = 600;
	add_three();
	cr_expect_eq(oomreclaim_reclaim(1), 0);
	cr_expect_str_eq(fake_heap_trace(), "");
	oomreclaim_scope_restore(old);
	cr_expect_eq(oomreclaim_reclaim(1), 600);
}

static size_t nested = 4711;
static bool is_caller_inside;

static size_t reclaim_inside(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	fake_heap_note('N');
	nested = oomreclaim_reclaim(1);
	is_caller_inside = reclaim_is_caller();
	return 0;
}

Test(reclaim, by_hand_from_inside_a_callback)
{
	a.claims = 600;
	oomreclaim_register("nested", 9, 0, reclaim_inside, NULL, NULL);
	add_three();
	cr_expect_eq(oomreclaim_reclaim(1), 600);
	cr_expect_eq(nested, 0);
	cr_expect_str_eq(fake_heap_trace(), "fpNAfp");
}

static unsigned scope_inside;

static size_t look_at_scope(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	scope_inside = oomreclaim_scope_save(OOMRECLAIM_SCOPE_RESERVE);
	return 0;
}

/* It is the failing thread that must not get NULL, or must not kill: not the callback. */
Test(reclaim, a_callback_is_in_no_scope)
{
	scope_inside = ~0U;
	cr_assert_eq(oomreclaim_register("look", 0, 0, look_at_scope, NULL, NULL), 0);
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL);
	oomreclaim_reclaim(1);
	cr_expect_eq(scope_inside, 0);
	cr_expect_eq(oomreclaim_scope_save(0), OOMRECLAIM_SCOPE_NOFAIL);
}

Test(reclaim, is_caller)
{
	oomreclaim_register("nested", 9, 0, reclaim_inside, NULL, NULL);
	cr_expect_not(reclaim_is_caller());
	oomreclaim_reclaim(1);
	cr_expect(is_caller_inside);
	cr_expect_not(reclaim_is_caller());
}
