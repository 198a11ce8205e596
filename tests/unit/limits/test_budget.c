/* SPDX-License-Identifier: BSD-2-Clause */
/* The limit and the watermarks, to the byte. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/base.h"
#include "budget_set.h"
#include "config/options.h"
#include "fake_heap.h"
#include "limits/budget.h"
#include "reclaim/control.h"
#include "support.h"

#define MIB ((size_t)1 << 20)
/* budget.c's own: how much more wakes oomreclaimd again where it could do nothing. */
#define REREAD_BYTES (4 * MIB)

static struct oomreclaim_limit_stats stats(void)
{
	struct oomreclaim_limit_stats now;

	cr_assert_eq(oomreclaim_limit_stats(&now, sizeof now), 0);
	return now;
}

TestSuite(budget, .init = support_init, .timeout = WATCHDOG_SECONDS);

Test(budget, counts_without_a_limit)
{
	cr_expect(budget_take(100 * MIB));
	cr_expect(budget_take(1));
	cr_expect_eq(budget_charged(), 100 * MIB + 1);
	budget_uncharge(MIB);
	cr_expect_eq(budget_charged(), 99 * MIB + 1);
	cr_expect_eq(budget_max_bytes(), SIZE_MAX);
	cr_expect_eq(budget_above_low(), 0);
	cr_expect_eq(budget_constraint(SIZE_MAX / 2), CONSTRAINT_NONE);
	cr_expect_eq(oomreclaim_get_limit(), SIZE_MAX);
	cr_expect_eq(stats().peak, 100 * MIB + 1);
}

Test(budget, the_limit_to_the_byte)
{
	budget_set("limit:8M");
	cr_expect_eq(budget_max_bytes(), 8 * MIB);
	cr_expect_not(budget_take(8 * MIB + 1));
	cr_expect_eq(budget_charged(), 0, "what is refused does not count");
	cr_expect_eq(stats().times_met, 1);
	cr_expect_eq(stats().peak, 0);
	cr_expect(budget_take(8 * MIB));
	cr_expect_not(budget_take(1));
	cr_expect_eq(stats().times_met, 2);
	budget_uncharge(1);
	cr_expect(budget_take(1));
	cr_expect_eq(stats().peak, 8 * MIB);
	budget_uncharge(8 * MIB);
	cr_expect_eq(stats().peak, 8 * MIB);
	cr_expect_eq(stats().charged, 0);
	cr_expect_eq(stats().limit, 8 * MIB);
}

Test(budget, the_constraint_to_the_byte)
{
	budget_set("limit:8M");
	cr_assert(budget_take(MIB));
	cr_expect_eq(budget_constraint(7 * MIB), CONSTRAINT_NONE);
	cr_expect_eq(budget_constraint(7 * MIB + 1), CONSTRAINT_BUDGET);
	cr_expect_eq(budget_constraint(SIZE_MAX), CONSTRAINT_BUDGET, "the sum overflows");
}

Test(budget, what_refused_it_stands_though_there_is_room)
{
	budget_set("limit:8M");
	cr_assert_not(budget_take(9 * MIB));
	cr_assert_eq(budget_constraint(MIB), CONSTRAINT_NONE);
	cr_expect_eq(budget_refuser(), CONSTRAINT_BUDGET);
}

Test(budget, stats_of_any_size)
{
	struct oomreclaim_limit_stats now = {.limit = 1, .charged = 2};

	budget_set("limit:8M");
	cr_expect_eq(oomreclaim_limit_stats(NULL, sizeof now), EINVAL);
	cr_expect_eq(oomreclaim_limit_stats(&now, sizeof now.limit), 0);
	cr_expect_eq(now.limit, 8 * MIB);
	cr_expect_eq(now.charged, 2);
	cr_expect_eq(oomreclaim_limit_stats(&now, sizeof now + 64), 0);
	cr_expect_eq(now.charged, 0);
}

/* ---- oomreclaim_set_limit() ---- */

static unsigned calls;
static size_t asked_bytes;

static size_t give_a_mib(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	asked_bytes = control->bytes_wanted;
	cr_expect_eq(control->reason, OOMRECLAIM_REASON_MANUAL);
	if (calls++ == 2)
		return 0;
	budget_uncharge(MIB);
	return MIB;
}

Test(budget, a_lower_limit_reclaims_until_nothing_is_left)
{
	cr_assert_eq(oomreclaim_register("mib", 0, 0, give_a_mib, NULL, NULL), 0);
	cr_assert(budget_take(12 * MIB));
	cr_expect_eq(oomreclaim_set_limit(8 * MIB), 2 * MIB);
	cr_expect_eq(calls, 3);
	cr_expect_eq(asked_bytes, 2 * MIB);
	cr_expect_eq(oomreclaim_get_limit(), 8 * MIB);
	cr_expect_not(budget_take(1));
}

static size_t lie(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	calls++;
	return control->bytes_wanted;
}

Test(budget, a_lower_limit_believes_a_liar_so_often)
{
	cr_assert_eq(oomreclaim_register("liar", 0, 0, lie, NULL, NULL), 0);
	cr_assert(budget_take(12 * MIB));
	cr_expect_eq(oomreclaim_set_limit(8 * MIB), 4 * MIB);
	cr_expect_eq(calls, MAX_RECLAIM_RETRIES);
}

static size_t set_lower(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	fake_heap_clear_trace();
	cr_expect_eq(oomreclaim_set_limit(8 * MIB), 4 * MIB);
	cr_expect_str_eq(fake_heap_trace(), "");
	calls++;
	return 0;
}

Test(budget, a_lower_limit_inside_a_callback_reclaims_nothing)
{
	cr_assert_eq(oomreclaim_register("lower", 0, 0, set_lower, NULL, NULL), 0);
	cr_assert(budget_take(12 * MIB));
	cr_expect_eq(oomreclaim_reclaim(1), 0);
	cr_expect_eq(calls, 1);
	cr_expect_eq(oomreclaim_get_limit(), 8 * MIB);
}

static atomic_bool is_enough;

static void charge_too_much(void)
{
	while (!is_enough)
		if (budget_charge(9 * MIB))
			is_enough = true;
}

/* Not even for a moment does what is refused stand in the way of what fits. */
Test(budget, what_is_refused_is_never_counted)
{
	struct thread other;
	unsigned refused = 0;

	budget_set("limit:16M");
	cr_assert(budget_take(8 * MIB));
	thread_start(&other, charge_too_much);
	for (int i = 0; i < 3000000; i++) {
		if (budget_take(8 * MIB))
			budget_uncharge(8 * MIB);
		else
			refused++;
	}
	cr_expect_not(is_enough, "it never fits");
	is_enough = true;
	thread_join(&other);
	cr_expect_eq(refused, 0);
	cr_expect_eq(budget_charged(), 8 * MIB);
}

Test(budget, a_limit_that_fits_asks_nobody)
{
	cr_assert_eq(oomreclaim_register("mib", 0, 0, give_a_mib, NULL, NULL), 0);
	cr_assert(budget_take(12 * MIB));
	cr_expect_eq(oomreclaim_set_limit(12 * MIB), 0);
	cr_expect_eq(calls, 0);
	cr_expect_eq(oomreclaim_set_limit(11 * MIB), 0);
	cr_expect_eq(calls, 1);
	cr_expect_eq(oomreclaim_set_limit(SIZE_MAX), 0);
}

/* ---- Watermarks ---- */

Test(budget, the_high_one_wakes_once)
{
	budget_set("high:2M,low:1M");
	cr_assert(budget_take(2 * MIB));
	cr_expect_eq(budget_wakes, 0, "not at it");
	cr_assert(budget_take(1));
	cr_expect_eq(budget_wakes, 1, "above it");
	cr_assert(budget_take(MIB));
	cr_expect_eq(budget_wakes, 1, "once");
	cr_expect_eq(budget_above_low(), 2 * MIB + 1);
	budget_uncharge(2 * MIB);
	cr_expect_eq(budget_above_low(), 1);
	budget_uncharge(1);
	cr_expect_eq(budget_above_low(), 0);
}

Test(budget, when_done_it_wakes_again)
{
	budget_set("high:2M,low:1M");
	cr_assert(budget_take(2 * MIB + 1));
	cr_expect_eq(budget_wakes, 1);
	budget_uncharge(1);
	budget_watermark_done(true);
	cr_assert(budget_take(1));
	cr_expect_eq(budget_wakes, 2);
}

/* What was freed is still mapped; a mapping more says that it does not suffice. */
Test(budget, done_above_the_watermark_it_wakes_with_the_next_mapping)
{
	budget_set("high:2M,low:1M");
	cr_assert(budget_take(3 * MIB));
	budget_watermark_done(true);
	cr_expect_eq(budget_wakes, 1);
	cr_assert(budget_take(1));
	cr_expect_eq(budget_wakes, 2);
}

Test(budget, what_could_not_be_done_is_not_tried_at_once)
{
	budget_set("high:2M,low:1M");
	cr_assert(budget_take(3 * MIB));
	budget_watermark_done(false);
	cr_assert(budget_take(REREAD_BYTES));
	cr_expect_eq(budget_wakes, 1);
	cr_assert(budget_take(1));
	cr_expect_eq(budget_wakes, 2);
}

Test(budget, near_the_limit_it_is_tried_with_the_next_mapping)
{
	budget_set("limit:16M,high:8M");
	cr_assert(budget_take(16 * MIB - REREAD_BYTES + 1));
	budget_watermark_done(false);
	cr_assert(budget_take(1));
	cr_expect_eq(budget_wakes, 2);
}

/* What is free and mapped may do for ever, without one mapping more. */
Test(budget, who_is_refused_wakes_it)
{
	budget_set("limit:16M,high:8M,low:4M");
	cr_assert(budget_take(16 * MIB));
	budget_watermark_done(true);
	cr_expect_eq(budget_wakes, 1);
	cr_expect_not(budget_take(1));
	cr_expect_eq(budget_wakes, 2);
	budget_reclaimed();
	cr_expect_not(budget_take(1));
	cr_expect_eq(budget_wakes, 2, "it is on its way");
}

Test(budget, who_is_refused_wakes_it_in_vain_once)
{
	budget_set("limit:16M,high:8M,low:4M");
	cr_assert(budget_take(16 * MIB));
	budget_watermark_done(false);
	cr_expect_not(budget_take(1));
	cr_expect_eq(budget_wakes, 1);
	budget_reclaimed();
	cr_expect_not(budget_take(1));
	cr_expect_eq(budget_wakes, 2);
}

Test(budget, who_is_refused_below_the_watermark_wakes_nobody)
{
	budget_set("limit:16M,high:16M,low:4M");
	cr_assert(budget_take(12 * MIB));
	budget_reclaimed();
	cr_expect_not(budget_take(8 * MIB));
	cr_expect_eq(budget_wakes, 0);
}

Test(budget, who_is_refused_without_a_watermark_wakes_nobody)
{
	budget_set("limit:16M");
	budget_reclaimed();
	cr_expect_not(budget_take(17 * MIB));
	cr_expect_eq(budget_wakes, 0);
}

Test(budget, below_the_watermark_by_itself_it_wakes_there_again)
{
	budget_set("high:8M");
	cr_assert(budget_take(16 * MIB));
	budget_watermark_done(false);
	budget_uncharge(8 * MIB);
	cr_assert(budget_take(1));
	cr_expect_eq(budget_wakes, 1, "not below");
	budget_uncharge(2);
	cr_assert(budget_take(1));
	cr_expect_eq(budget_wakes, 1, "not above");
	cr_assert(budget_take(1));
	cr_expect_eq(budget_wakes, 2);
}

Test(budget, while_it_is_at_work_it_is_not_woken)
{
	budget_set("high:8M");
	cr_assert(budget_take(9 * MIB));
	budget_uncharge(2 * MIB);
	cr_assert(budget_take(2 * MIB));
	cr_expect_eq(budget_wakes, 1);
}

Test(budget, the_child_s_own_is_woken)
{
	budget_set("high:8M");
	cr_assert(budget_charge(9 * MIB));
	budget_commit_charge(9 * MIB);
	budget_fork_child();
	cr_assert(budget_take(1));
	cr_expect_eq(budget_wakes, 2);
}

/* A thread that was charging is in the parent: the child would be charged for ever. */
Test(budget, a_child_is_charged_for_what_was_committed)
{
	cr_assert(budget_charge(9 * MIB) && budget_charge(MIB) && budget_charge(3 * MIB));
	budget_commit_charge(9 * MIB);
	budget_cancel_charge(MIB);
	budget_uncharge(2 * MIB);
	cr_expect_eq(budget_charged(), 10 * MIB);
	budget_fork_child();
	cr_expect_eq(budget_charged(), 7 * MIB);
	budget_uncharge(7 * MIB);
	cr_expect_eq(budget_charged(), 0);
}

Test(budget, a_charge_that_is_refused_wakes_nobody)
{
	budget_set("limit:8M,high:4M");
	cr_expect_not(budget_take(9 * MIB));
	cr_expect_eq(budget_wakes, 0);
}

/* Nor is it a peak: the system has refused what was within the limit. */
Test(budget, a_charge_that_is_cancelled_was_nothing)
{
	budget_set("high:4M");
	cr_assert(budget_take(3 * MIB));
	cr_assert(budget_charge(9 * MIB));
	/* What another thread gets meanwhile is no more than it is. */
	cr_assert(budget_take(1));
	budget_cancel_charge(9 * MIB);
	cr_expect_eq(budget_wakes, 0);
	cr_expect_eq(stats().peak, 3 * MIB + 1);
	cr_assert(budget_take(2 * MIB));
	cr_expect_eq(budget_wakes, 1);
	cr_expect_eq(stats().peak, 5 * MIB + 1);
}

static const struct {
	const char *conf;
	size_t low_bytes; /* charged 10 MiB, above_low is the rest */
} lows[] = {
	{"high:1000,low:999", 999},
	{"high:1000", 900},
	{"high:1000,low:1000", 900},
	{"high:1000,low:1001", 900},
	{"limit:100M,high:10%,low:5%", MIB * 100 / 100 * 5},
	{"limit:100M,high:10%", MIB * 9},
	{"low:1000", SIZE_MAX},
	{"high:50%,low:10%", SIZE_MAX}, /* of no limit */
};

Test(budget, the_low_one)
{
	cr_assert(budget_take(10 * MIB));
	for (size_t i = 0; i < ARRAY_SIZE(lows); i++) {
		size_t expected = lows[i].low_bytes == SIZE_MAX ? 0 : 10 * MIB - lows[i].low_bytes;

		options_load(NULL);
		budget_set(lows[i].conf);
		cr_expect_eq(budget_above_low(), expected, "%s", lows[i].conf);
	}
}

Test(budget, shares_follow_the_limit)
{
	budget_set("limit:100M,high:50%");
	oomreclaim_set_limit(50 * MIB);
	cr_assert(budget_take(25 * MIB));
	cr_expect_eq(budget_wakes, 0);
	cr_assert(budget_take(1));
	cr_expect_eq(budget_wakes, 1);
	/* It has been there: a limit that moves is no reason to wake it again. */
	oomreclaim_set_limit(40 * MIB);
	cr_assert(budget_take(1));
	cr_expect_eq(budget_wakes, 1);
}

/* Two threads that set what the watermark is made of, again and again at one moment. */
enum { SETS = 50000 };
static atomic_uint arrived;

/* Both begin at once: a barrier wakes one after the other. */
static void meet(unsigned times)
{
	atomic_fetch_add(&arrived, 1);
	while (atomic_load(&arrived) < 2 * times)
		sched_yield();
}

static void *set_limits(void *arg)
{
	for (unsigned i = 1; i <= SETS; i++) {
		meet(2 * i - 1);
		budget_set_limit((size_t)i * 100);
		meet(2 * i);
	}
	return arg;
}

Test(budget, a_share_is_of_the_limit_that_was_set_last)
{
	size_t high_bytes, low_bytes, wrong = 0;
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, set_limits, NULL), 0);
	for (unsigned i = 1; i <= SETS; i++) {
		const struct watermark share = {.percent = 10 + i % 2};

		meet(2 * i - 1);
		budget_set_high(&share);
		meet(2 * i);
		budget_watermarks(&high_bytes, &low_bytes);
		wrong += high_bytes != (size_t)i * share.percent;
	}
	pthread_join(thread, NULL);
	cr_expect_eq(wrong, 0);
}

/* ---- A limit that moves ---- */

static void move_the_limit(void)
{
	while (!is_enough) {
		budget_set_limit(0);
		budget_set_limit(SIZE_MAX);
	}
}

/* What is refused is never counted: else the heap would not have what counts, and nobody would ever
   take it back. And it is no other limit that refused the charge. */
Test(budget, what_refuses_is_the_limit_that_moves)
{
	struct thread other;
	size_t wrong = 0;

	budget_set("");
	thread_start(&other, move_the_limit);
	for (int i = 0; i < 3000000; i++)
		if (budget_charge(1))
			budget_cancel_charge(1);
		else
			wrong += budget_refuser() != CONSTRAINT_BUDGET;
	is_enough = true;
	thread_join(&other);
	cr_expect_eq(budget_charged(), 0);
	cr_expect_eq(wrong, 0);
}

/* ---- high, while the program runs ---- */

static size_t high(void)
{
	size_t high_bytes, low_bytes;

	budget_watermarks(&high_bytes, &low_bytes);
	cr_expect_eq(low_bytes, high_bytes == SIZE_MAX ? SIZE_MAX : high_bytes - high_bytes / 10);
	return high_bytes;
}

Test(budget, high_is_set_later)
{
	const struct watermark bytes = {.bytes = 3 * MIB}, share = {.percent = 50},
			       none = {.bytes = 0};

	budget_set_high(&bytes);
	cr_expect_eq(high(), 3 * MIB);
	budget_set_high(&share);
	cr_expect_eq(high(), SIZE_MAX, "a share of nothing");
	budget_set_limit(100 * MIB);
	cr_expect_eq(high(), 50 * MIB);
	budget_set_limit(200 * MIB);
	cr_expect_eq(high(), 100 * MIB, "it goes with the limit");
	budget_set_high(&none);
	cr_expect_eq(high(), SIZE_MAX);
}

Test(budget, high_that_is_set_below_the_charge_wakes_at_once)
{
	const struct watermark above = {.bytes = 8 * MIB}, below = {.bytes = 4 * MIB};

	budget_set("");
	cr_assert(budget_take(5 * MIB));
	budget_set_high(&above);
	cr_expect_eq(budget_wakes, 0);
	budget_set_high(&below);
	cr_expect_eq(budget_wakes, 1);
}

static void *take_one(void *arg)
{
	*(bool *)arg = budget_take(1);
	return NULL;
}

/* What can't be refused counts, beyond the limit; for the thread that says so alone. */
Test(budget, what_is_forced_is_beyond_the_limit)
{
	bool is_taken = true;
	pthread_t other;

	budget_set("limit:8M");
	cr_expect(budget_take(8 * MIB));
	cr_expect_not(budget_force(true));
	cr_expect(budget_take(MIB - 1));
	cr_assert_eq(pthread_create(&other, NULL, take_one, &is_taken), 0);
	pthread_join(other, NULL);
	cr_expect_not(is_taken);
	cr_expect(budget_take(1));
	cr_expect_not(budget_take(1), "by an eighth at most");
	cr_expect(budget_force(false));
	cr_expect_not(budget_take(1));
	cr_expect_eq(budget_charged(), 9 * MIB);
	cr_expect_eq(budget_excess(), MIB);
	budget_uncharge(MIB);
	cr_expect_not(budget_take(1));
	budget_uncharge(1);
	cr_expect(budget_take(1));
}
