/* SPDX-License-Identifier: BSD-2-Clause */
/* A group is cancelled: on which thread its function is called, and how long others wait. */
#include <criterion/criterion.h>
#include <errno.h>
#include <setjmp.h>

#include "add_group.h"
#include "base/base.h"
#include "cancel_step.h"
#include "config/options.h"
#include "fake_heap.h"
#include "limits/budget.h"
#include "limits/group_victim.h"
#include "reclaim/calls.h"
#include "reclaim/descent.h"
#include "reclaim/scope.h"
#include "support.h"

TestSuite(cancel, .init = support_init, .timeout = WATCHDOG_SECONDS);

/* The job's, as add_charged_group() numbers them. */
enum { ARENA = 100 };

static const struct heap_request request = {.size = 1000};
static struct oom_control control = {.request = &request};
static unsigned job;
static unsigned told, woken;
static bool has_thread;

static bool wake(void)
{
	woken++;
	return has_thread;
}

static void note(oomreclaim_group group, void *arg)
{
	cr_expect_eq(group, group_handle(job));
	cr_expect(arg == &told);
	cr_expect_eq(scope_current(), 0);
	told++;
	errno = EDOM;
}

static void ignore(oomreclaim_group group, void *arg)
{
	(void)group, (void)arg;
}

static void add_job(void)
{
	cancel_init(wake);
	options_apply("test", "cancel_grace_ms:50", &options, NULL);
	job = add_charged_group("job", 0, 8000);
	group_set_cancel(group_handle(job), note, &told);
}

static enum cancel_result step(void)
{
	return cancel_step_once(&control);
}

/* As a request that comes long behind whatever has ended. */
static void begin_anew(void)
{
	control.tried.cancel_victim = 0;
	control.tried.cancel_seen_ns = now_ns();
}

Test(cancel, there_is_nobody)
{
	cancel_init(wake);
	cr_expect_eq(step(), CANCEL_NOBODY);
	cr_expect_eq(woken, 0);
}

Test(cancel, is_told_on_the_thread_that_holds_no_lock)
{
	add_job();
	has_thread = true;
	cr_expect_eq(step(), CANCEL_WAITED);
	cr_expect_eq(woken, 1);
	cr_expect_eq(told, 0);
	errno = ERRNO_UNTOUCHED;
	cancel_call_due(true);
	cancel_call_due(true);
	cr_expect_eq(told, 1);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
}

Test(cancel, is_told_by_the_one_that_failed_where_there_is_no_other)
{
	add_job();
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_RETRY_MAYFAIL);
	cr_expect_eq(step(), CANCEL_WAITED);
	cr_expect_eq(told, 1);
	cr_expect_eq(scope_current(), OOMRECLAIM_SCOPE_RETRY_MAYFAIL);
	cr_expect_eq(step(), CANCEL_WAITED);
	cr_expect_eq(told, 1);
	cr_expect_eq(woken, 1);
}

/* What is free in it goes back, and then it has ended. */
Test(cancel, is_reaped)
{
	/* A busy machine takes its time for each step. */
	fake_clock_freeze();
	add_job();
	cr_expect_eq(step(), CANCEL_WAITED);
	fake_heap_group_evictions = 1;
	cr_expect_eq(step(), CANCEL_WAITED);
	cr_expect_eq(fake_heap_count('g'), 1);
	cr_expect_eq(fake_heap_keeps, GROUP_KEEPS_NONE);
	group_uncharge(ARENA, 7000);
	cr_expect_eq(step(), CANCEL_ENDED);
	/* What it had may be on its way back. Then the next one, if it still fails. */
	for (unsigned i = 0; i < 8; i++) {
		cr_expect_eq(step(), CANCEL_WAITED);
		cr_expect_eq(told, 1);
	}
	cr_expect_eq(step(), CANCEL_WAITED);
	cr_expect_eq(told, 2);
}

/* The next request. */
static void begin_behind(uint64_t ns)
{
	fake_clock_advance(ns);
	control.tried.cancel_victim = 0;
	control.tried.cancel_seen_ns = 0;
	control.tried.cancel_ends_ms = 0;
	control.facts.began_ns = now_ns();
}

/* A request that never waited for it: it ended between the attempt and this look, or just before.
   There are some attempts more, however short the grace is. */
Test(cancel, is_nobody_where_another_has_just_given)
{
	unsigned other, query;

	fake_clock_freeze();
	fake_clock_advance(NSEC_PER_SEC);
	add_job();
	options_apply("test", "cancel_grace_ms:0", &options, NULL);
	other = add_charged_group("other", 0, 7000);
	group_set_cancel(group_handle(other), ignore, NULL);
	control.facts.began_ns = now_ns();
	cr_expect_eq(step(), CANCEL_WAITED);
	cr_expect(group_is_cancelled(job));
	group_set_cancel(group_handle(job), NULL, NULL);
	begin_behind(19 * NSEC_PER_MSEC);
	cr_expect_eq(step(), CANCEL_ENDED);
	for (unsigned i = 0; i < 3; i++) {
		fake_clock_advance(3 * NSEC_PER_MSEC);
		cr_expect_eq(step(), CANCEL_WAITED);
	}
	cr_expect_not(group_is_cancelled(other));
	/* Groups that are destroyed meanwhile hold it up no more. */
	query = add_group("query", 0);
	fake_clock_advance(1);
	remove_group(query);
	cr_expect_eq(step(), CANCEL_WAITED);
	cr_expect(group_is_cancelled(other));
	/* Nor does an end that was long before. */
	group_set_cancel(group_handle(other), ignore, NULL);
	begin_behind(20 * NSEC_PER_MSEC);
	cr_expect_eq(step(), CANCEL_WAITED);
	cr_expect(group_is_cancelled(other));
}

/* Each for no longer than the grace, all together for twice that. */
Test(cancel, is_waited_for_with_an_end)
{
	fake_clock_freeze();
	add_job();
	options_apply("test", "cancel_grace_ms:500", &options, NULL);
	for (unsigned i = 0; i < 4; i++)
		cr_expect_eq(step(), CANCEL_WAITED);
	fake_clock_advance(500 * NSEC_PER_MSEC);
	cr_expect_eq(step(), CANCEL_ENDED);
	/* It was late, and nobody else is there. */
	for (unsigned i = 0; i < 8; i++)
		cr_expect_eq(step(), CANCEL_WAITED);
	cr_expect_eq(step(), CANCEL_NOBODY);
	cr_expect(group_is_cancelled(job));
	group_uncharge(ARENA, 7000);
	cr_expect(cancel_try_lift(job));
	fake_clock_advance(2 * 500 * NSEC_PER_MSEC);
	cr_expect_eq(step(), CANCEL_NOBODY, "the time of the request is over");
	cr_expect_not(group_is_cancelled(job));
	control.tried.cancel_ends_ms = 0;
	cr_expect_eq(step(), CANCEL_WAITED);
}

static struct oom_control second = {.request = &request};
static atomic_bool has_waited;

static void wait_too(void)
{
	struct descent descent;

	descent_begin(&descent);
	while (cancel_step(&second) == CANCEL_WAITED)
		;
	has_waited = true;
	descent_end(&descent);
}

/* Another thread waits for the same one, and chooses none. */
Test(cancel, is_one_for_all)
{
	static struct thread thread;
	unsigned other;

	add_job();
	options_apply("test", "cancel_grace_ms:60000", &options, NULL);
	other = add_charged_group("other", 0, 7000);
	group_set_cancel(group_handle(other), note, &told);
	cr_expect_eq(step(), CANCEL_WAITED);
	thread_start(&thread, wait_too);
	pause_ns(20 * NSEC_PER_MSEC);
	cr_expect_not(has_waited);
	cr_expect_not(group_is_cancelled(other));
	group_uncharge(ARENA, 8000);
	thread_join(&thread);
	cr_expect_eq(told, 1);
	cr_expect_not(group_is_cancelled(other));
}

Test(cancel, is_the_own_group)
{
	unsigned part;

	add_job();
	part = add_group("part", job);
	fake_heap_group = part;
	cr_expect_eq(step(), CANCEL_OWN);
	fake_heap_group = 0;
	begin_anew();
	cr_expect_eq(step(), CANCEL_WAITED);
	/* It is chosen by another, while this one waits for something else. */
	fake_heap_group = part;
	begin_anew();
	cr_expect_eq(step(), CANCEL_OWN);
	cr_expect_eq(told, 1);
}

/* What costs much cancels only what has as much. */
Test(cancel, is_enough_for_a_costly_request)
{
	const struct heap_request costly = {.size = 8001}, less = {.size = 8000};

	add_job();
	options_apply("test", "costly:100", &options, NULL);
	control.request = &costly;
	cr_expect_eq(step(), CANCEL_NOBODY);
	control.request = &less;
	cr_expect_eq(step(), CANCEL_WAITED);
}

/* score_adj is of the limit: of a group's max, of the process's limit, or of what there is. */
Test(cancel, counts_by_the_limit_that_is_met)
{
	static const struct {
		bool in_group;
		size_t max, limit;
		unsigned chosen; /* 0: job, 1: other */
	} rows[] = {
		{true, 100000, SIZE_MAX, 0},   {true, 1000000, SIZE_MAX, 1},
		{false, 1000000, 100000, 0},   {false, 100000, 1000000, 1},
		{false, 1000000, SIZE_MAX, 0},
	};
	unsigned tenant, slots[2];

	add_job();
	tenant = add_group("tenant", 0);
	for (unsigned i = 0; i < 2; i++)
		slots[i] = add_charged_group("of tenant", tenant, i == 0 ? 19000 : 9000);
	/* 20 of 1000 are 2000 or 20000 more. */
	group_set_score_adj(slots[1], 20);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		group_set_max(tenant, rows[i].max);
		budget_set_limit(rows[i].limit);
		for (unsigned j = 0; j < 2; j++)
			group_set_cancel(group_handle(slots[j]), ignore, NULL);
		control.group = rows[i].in_group ? tenant : 0;
		begin_anew();
		cr_expect_eq(step(), CANCEL_WAITED);
		cr_expect(group_is_cancelled(slots[rows[i].chosen]), "row %zu", i);
	}
}

/* ---- What the function does ---- */

static unsigned elsewhere;

static void stay(oomreclaim_group group, void *arg)
{
	(void)group, (void)arg;
	cr_expect(group_try_enter(elsewhere, group_handle(elsewhere)));
	if (fake_heap_group != 0)
		group_leave(fake_heap_group);
	fake_heap_group = elsewhere;
}

static size_t threads_in(unsigned slot)
{
	struct oomreclaim_group_stats stats;

	group_stats(slot, &stats);
	return stats.threads;
}

/* The thread is in the group that it was in, and counted there. */
Test(cancel, a_group_that_is_entered_is_left)
{
	unsigned home;

	add_job();
	home = add_group("home", 0);
	elsewhere = add_group("elsewhere", 0);
	group_set_cancel(group_handle(job), stay, NULL);
	cr_expect_eq(step(), CANCEL_WAITED);
	cr_expect_eq(fake_heap_group, 0);
	cr_expect_eq(threads_in(elsewhere), 0);
	group_set_cancel(group_handle(job), stay, NULL);
	cr_expect(group_try_enter(home, group_handle(home)));
	fake_heap_group = home;
	begin_anew();
	cr_expect_eq(step(), CANCEL_WAITED);
	cr_expect_eq(fake_heap_group, home);
	cr_expect_eq(threads_in(elsewhere), 0);
	cr_expect_eq(threads_in(home), 1);
}

static jmp_buf out;

static void jump(oomreclaim_group group, void *arg)
{
	(void)group, (void)arg;
	longjmp(out, 1);
}

/* Against the rules: nobody waits for its end for ever. */
Test(cancel, a_function_that_jumps_out_has_ended)
{
	add_job();
	group_set_cancel(group_handle(job), jump, NULL);
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_RETRY_MAYFAIL);
	if (setjmp(out) == 0) {
		step();
		cr_assert_fail();
	}
	cr_expect_not(descent_is_open());
	cr_expect_eq(scope_current(), OOMRECLAIM_SCOPE_RETRY_MAYFAIL);
	cr_expect_not(calls_is_own(CALL_OF_CANCEL(group_handle(job))));
	cr_expect_eq(calls_wait(CALL_OF_CANCEL(group_handle(job)),
	                        CALL_OF_CANCEL(group_handle(job))),
	             0);
}

static struct gate may_return = GATE, is_inside = GATE;
static atomic_bool has_ended;

static void hold(oomreclaim_group group, void *arg)
{
	(void)arg;
	gate_open(&is_inside);
	gate_wait(&may_return);
	has_ended = calls_is_own(CALL_OF_CANCEL(group));
}

static void call_due(void)
{
	cancel_call_due(true);
}

static void wait_for_call(void)
{
	calls_wait(CALL_OF_CANCEL(group_handle(job)), CALL_OF_CANCEL(group_handle(job)));
	if (!has_ended)
		abort();
}

Test(cancel, a_call_is_waited_for)
{
	static struct thread caller, waiter;

	add_job();
	has_thread = true;
	group_set_cancel(group_handle(job), hold, NULL);
	cr_expect_eq(step(), CANCEL_WAITED);
	thread_start(&caller, call_due);
	gate_wait(&is_inside);
	thread_start(&waiter, wait_for_call);
	thread_wait_asleep(&waiter);
	gate_open(&may_return);
	thread_join(&waiter);
	thread_join(&caller);
}

Test(cancel, is_said_where_somebody_wants_to_know)
{
	struct capture capture;

	add_job();
	group_set_score_adj(job, 7);
	capture_begin(&capture);
	cr_expect_eq(step(), CANCEL_WAITED);
	cr_expect_str_eq(capture_next(&capture), "");
	options_apply("test", "verbose:true", &options, NULL);
	group_set_cancel(group_handle(job), note, &told);
	begin_anew();
	control.constraint = CONSTRAINT_BUDGET;
	cr_expect_eq(step(), CANCEL_WAITED);
	cr_expect_str_eq(capture_next(&capture),
	                 "oomreclaim: group job is cancelled: 7K, score_adj 7; for 1000 bytes "
	                 "(constraint=BUDGET)\n");
	group_set_cancel(group_handle(job), note, &told);
	begin_anew();
	control.group = job;
	control.constraint = CONSTRAINT_GROUP;
	cr_expect_eq(step(), CANCEL_WAITED);
	cr_expect_str_eq(capture_next(&capture),
	                 "oomreclaim: group job is cancelled: 7K, score_adj 7; for 1000 bytes "
	                 "(constraint=GROUP, group=job)\n");
	capture_end(&capture);
}
