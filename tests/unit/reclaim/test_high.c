/* SPDX-License-Identifier: BSD-2-Clause */
/* memory.high of a group: reclaim by the thread that is above it, and a wait with an end. */
#include <criterion/criterion.h>
#include <errno.h>

#include "add_group.h"
#include "base/base.h"
#include "fake_heap.h"
#include "limits/group.h"
#include "reclaim/descent.h"
#include "reclaim/high.h"
#include "reclaim/reclaim.h"
#include "reclaim/scope.h"
#include "support.h"

TestSuite(high, .init = support_init, .timeout = WATCHDOG_SECONDS);

enum { ARENA = 100 };
#define KIB ((size_t)1 << 10)

static bool take(size_t bytes)
{
	bool is_charged = group_charge(ARENA, bytes);

	if (is_charged)
		group_commit_charge(ARENA, bytes);
	return is_charged;
}

Test(high, penalty)
{
	static const struct {
		size_t charged, high, bytes;
		uint64_t ms;
	} rows[] = {
		{0, 0, 0, 0},
		{1000, SIZE_MAX, 256 * KIB, 0},
		{1000, 1000, 256 * KIB, 0},
		{1001, 1000, 4 * KIB, 0},
		/* 1, 2 and 4 hundredths, by the square. */
		{102400 + 1024, 102400, 256 * KIB, 6},
		{102400 + 2048, 102400, 256 * KIB, 24},
		{102400 + 4096, 102400, 256 * KIB, 97},
		{102400 + 4096, 102400, 64 * KIB, 24},
		/* No further than that. */
		{102400 + 8192, 102400, 256 * KIB, HIGH_WAIT_MS_MAX},
		{1000000, 1000, 16 * KIB, HIGH_WAIT_MS_MAX},
		{2000, 1000, 4, 0},
		{SIZE_MAX / 2, 1, SIZE_MAX, HIGH_WAIT_MS_MAX},
		{4096, 0, 16 * KIB, HIGH_WAIT_MS_MAX},
		{SIZE_MAX - 1, SIZE_MAX / 2, SIZE_MAX, HIGH_WAIT_MS_MAX},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		cr_expect_eq(high_penalty_ms(rows[i].charged, rows[i].high, rows[i].bytes),
		             rows[i].ms, "row %zu", i);
}

/* What was charged above it is noted, of the group and of its ancestors. */
Test(high, is_noted)
{
	unsigned parent = add_group("parent", 0), child = add_group("child", parent);

	group_charge_arena_to(ARENA, child);
	cr_expect(take(1000));
	cr_expect_eq(group_over_high, 0);
	group_set_high(child, 2000);
	cr_expect(take(1000));
	cr_expect_eq(group_over_high, 0);
	cr_expect(take(10));
	cr_expect_eq(group_over_high, 10);
	group_set_high(child, SIZE_MAX);
	group_set_high(parent, 2000);
	cr_expect(take(5));
	cr_expect_eq(group_over_high, 15);
	cr_expect_eq(group_above_high(parent), 15);
	cr_expect_eq(group_above_high(child), 0);
	/* What is refused is not. */
	group_set_max(parent, 2000);
	cr_expect_not(take(5));
	cr_expect_eq(group_over_high, 15);
	/* Nor what the system refuses then. */
	group_set_max(parent, SIZE_MAX);
	cr_expect(group_charge(ARENA, 5));
	group_cancel_charge(ARENA, 5);
	cr_expect_eq(group_over_high, 15);
}

/* ---- What is done about it ---- */

static unsigned parent, child;
static size_t gives;

static size_t note_and_give(const struct oomreclaim_control *control, void *arg)
{
	fake_heap_note(*(const char *)arg);
	cr_expect_eq(control->reason, OOMRECLAIM_REASON_WATERMARK);
	cr_expect_str_eq(control->constraint, "GROUP");
	cr_expect_eq(control->bytes_wanted, 500);
	group_uncharge(ARENA, gives);
	errno = EDOM;
	return gives;
}

/* A thread in `child`, which is 500 bytes above its high: at half as much again a piece as small
   waits for some milliseconds. */
static void go_above(void)
{
	parent = add_group("parent", 0);
	child = add_group("child", parent);
	fake_heap_group = child;
	oomreclaim_register("child", 1, 0, note_and_give, "C", NULL);
	fake_heap_group = parent;
	oomreclaim_register("parent", 0, 0, note_and_give, "P", NULL);
	fake_heap_group = child;
	group_charge_arena_to(ARENA, child);
	group_set_high(child, 1000);
	cr_expect(take(1500));
	fake_heap_clear_trace();
}

static uint64_t high_met(unsigned slot)
{
	struct oomreclaim_group_stats stats;

	group_stats(slot, &stats);
	return stats.high_met;
}

Test(high, is_reclaimed_in_the_group)
{
	go_above();
	gives = 500;
	errno = ERRNO_UNTOUCHED;
	high_reclaim_if_due();
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	/* By the group's own callbacks, and the caches behind them. */
	cr_expect_str_eq(fake_heap_trace(), "fCf");
	cr_expect_eq(high_met(child), 1);
	cr_expect_eq(high_met(parent), 0);
	cr_expect_eq(group_over_high, 0);
	cr_expect_not(descent_is_open());
	high_reclaim_if_due();
	cr_expect_str_eq(fake_heap_trace(), "fCf");
}

Test(high, of_an_ancestor_is_reclaimed_below_it)
{
	go_above();
	group_set_high(child, SIZE_MAX);
	group_set_high(parent, 1000);
	gives = 500;
	high_reclaim_if_due();
	cr_expect_str_eq(fake_heap_trace(), "fCf");
	cr_expect_eq(high_met(parent), 1);
	cr_expect_eq(high_met(child), 0);
}

/* What is free is given back first. */
static struct thread thread;
static atomic_bool is_through;

static void reclaim_there(void)
{
	group_over_high = 1 << 20;
	high_reclaim_if_due();
	is_through = true;
}

Test(high, is_given_back_before_anybody_is_asked)
{
	go_above();
	fake_heap_group_evictions = 3;
	gives = 500;
	high_reclaim_if_due();
	cr_expect_str_eq(fake_heap_trace(), "fgCfg");
}

static void give_free(void)
{
	group_uncharge(ARENA, 500);
}

/* Nobody is, where that does. */
Test(high, is_given_back_alone)
{
	go_above();
	fake_heap_group_evictions = 3;
	fake_heap_on_group_evict = give_free;
	high_reclaim_if_due();
	cr_expect_str_eq(fake_heap_trace(), "fg");
}

/* The low of those below holds as long as others have something. */
Test(high, keeps_low_first)
{
	go_above();
	fake_heap_group_evictions = 3;
	fake_heap_on_group_evict = give_free;
	high_reclaim_if_due();
	cr_expect_eq(fake_heap_keeps, GROUP_KEEPS_LOW);
	cr_expect(take(500));
	fake_heap_on_group_evict = NULL;
	high_reclaim_if_due();
	cr_expect_eq(fake_heap_keeps, GROUP_KEEPS_MIN);
}

/* The wait ends, with time or with what others free. */
Test(high, is_waited_for_with_an_end)
{
	go_above();
	thread_start(&thread, reclaim_there);
	thread_join(&thread);
	cr_expect(is_through);
	cr_expect_eq(group_charged(child), 1500);
	group_uncharge(ARENA, 500);
	is_through = false;
	fake_heap_clear_trace();
	reclaim_there();
	cr_expect_str_eq(fake_heap_trace(), "");
}

static uint64_t waits_ms(void)
{
	uint64_t before = now_ns();

	reclaim_there();
	return (now_ns() - before) / NSEC_PER_MSEC;
}

Test(high, is_waited_for)
{
	go_above();
	/* More does not matter: machines are busy. */
	cr_expect_geq(waits_ms(), HIGH_WAIT_MS_MAX);
}

/* A round of another group, which goes on for as long as it likes. */
static unsigned other;
static atomic_bool has_begun, may_end;

static size_t hold(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	has_begun = true;
	while (!may_end)
		pause_ns(NSEC_PER_MSEC);
	return 0;
}

static void reclaim_other(void)
{
	reclaim_group(other, 1);
}

/* For the group, its ancestors, and the wait behind them. */
Test(high, one_deadline_holds_for_all)
{
	uint64_t ms = UINT64_MAX;

	go_above();
	group_set_high(parent, 1000);
	other = add_group("other", 0);
	fake_heap_group = other;
	oomreclaim_register("other", 0, 0, hold, NULL, NULL);
	fake_heap_group = child;
	thread_start(&thread, reclaim_other);
	while (!has_begun)
		pause_ns(NSEC_PER_MSEC);
	/* Machines are busy: once is enough. */
	for (int i = 0; i < 10 && ms >= 2 * HIGH_WAIT_MS_MAX; i++)
		ms = waits_ms();
	cr_expect_lt(ms, 2 * HIGH_WAIT_MS_MAX);
	may_end = true;
	thread_join(&thread);
}

Test(high, is_none_of_others_business)
{
	struct descent descent;
	unsigned old;

	go_above();
	fake_heap_group = 0;
	high_reclaim_if_due();
	cr_expect_eq(group_over_high, 0, "it is in no group any more");
	fake_heap_group = child;
	descent_begin(&descent);
	reclaim_there();
	descent_end(&descent);
	old = oomreclaim_scope_save(OOMRECLAIM_SCOPE_NORECLAIM);
	reclaim_there();
	oomreclaim_scope_restore(old);
	old = oomreclaim_scope_save(OOMRECLAIM_SCOPE_NORETRY);
	reclaim_there();
	oomreclaim_scope_restore(old);
	fake_heap_is_reentrant = true;
	reclaim_there();
	fake_heap_is_reentrant = false;
	cr_expect_str_eq(fake_heap_trace(), "");
	gives = 500;
	reclaim_there();
	cr_expect_str_eq(fake_heap_trace(), "fCf");
}
