/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim_kill_disable(), where a group is being cancelled. */
#include <criterion/criterion.h>

#include "add_group.h"
#include "base/base.h"
#include "cancel_step.h"
#include "config/options.h"
#include "kill/kill_turn.h"
#include "limits/group_victim.h"
#include "support.h"

enum { ARENA = 100 };

static const struct heap_request request = {.size = 1000};
static struct oom_control control = {.request = &request};
static unsigned job;
static atomic_uint told;

/* oomreclaimd is there, and busy. */
static bool wake(void)
{
	return true;
}

static void note(oomreclaim_group group, void *arg)
{
	(void)group, (void)arg;
	told++;
}

static void init(void)
{
	support_init();
	cancel_init(wake);
	options_apply("test", "cancel_grace_ms:60000", &options, NULL);
	job = add_group("job", 0);
	group_charge_arena_to(ARENA, job);
	group_charge(ARENA, 8000);
	group_set_cancel(group_handle(job), note, NULL);
}

TestSuite(cancel_off, .init = init, .timeout = WATCHDOG_SECONDS);

static enum cancel_result step(void)
{
	return cancel_step_once(&control);
}

static uint64_t cancels(void)
{
	struct oomreclaim_group_stats stats;

	group_stats(job, &stats);
	return stats.cancels;
}

static void call_due(void)
{
	cancel_call_due(true);
}

Test(cancel_off, one_that_was_not_told_goes_on)
{
	cr_expect_eq(step(), CANCEL_WAITED);
	cr_expect_eq(cancels(), 1);
	cr_expect(oomreclaim_kill_disable(0));
	call_due();
	cr_expect_eq(told, 0);
	cr_expect_not(group_is_cancelled(job));
	cr_expect_eq(cancels(), 0);
	/* The thread that waits for it waits no longer. */
	cr_expect_eq(step(), CANCEL_ENDED);
	cr_expect_eq(oomreclaim_kill_enable(), 0);
	control.tried.cancel_rests = 0;
	cr_expect_eq(step(), CANCEL_WAITED);
	call_due();
	cr_expect_eq(told, 1);
}

/* The thread that fails has seen that it is enabled a moment ago. */
Test(cancel_off, none_is_chosen)
{
	cr_expect(oomreclaim_kill_disable(0));
	cr_expect_eq(step(), CANCEL_NOBODY);
	cr_expect_eq(cancels(), 0);
	cr_expect_eq(oomreclaim_kill_enable(), 0);
	cr_expect_eq(step(), CANCEL_WAITED);
}

Test(cancel_off, one_that_was_told_stays_cancelled)
{
	cr_expect_eq(step(), CANCEL_WAITED);
	call_due();
	cr_expect(oomreclaim_kill_disable(0));
	cr_expect(group_is_cancelled(job));
	cr_expect_eq(cancels(), 1);
}

static struct gate is_inside = GATE, may_return = GATE;

static void hold(oomreclaim_group group, void *arg)
{
	(void)group, (void)arg;
	gate_open(&is_inside);
	gate_wait(&may_return);
	told++;
}

static unsigned told_by_then;

static void disable(void)
{
	if (oomreclaim_kill_disable(3600000))
		told_by_then = told;
}

Test(cancel_off, a_call_is_waited_for)
{
	static struct thread caller, waiter;

	group_set_cancel(group_handle(job), hold, NULL);
	cr_expect_eq(step(), CANCEL_WAITED);
	thread_start(&caller, call_due);
	gate_wait(&is_inside);
	cr_expect_not(oomreclaim_kill_disable(1), "it has not ended");
	cr_expect_not(kill_is_disabled());
	thread_start(&waiter, disable);
	thread_wait_asleep(&waiter);
	/* No lock is held meanwhile. */
	cr_expect(kill_is_disabled());
	cr_expect_not(kill_turn_hold());
	gate_open(&may_return);
	thread_join(&waiter);
	thread_join(&caller);
	cr_expect_eq(told_by_then, 1);
}

static void disable_inside(oomreclaim_group group, void *arg)
{
	(void)group, (void)arg;
	told += oomreclaim_kill_disable(0);
}

Test(cancel_off, from_the_function_itself)
{
	group_set_cancel(group_handle(job), disable_inside, NULL);
	cr_expect_eq(step(), CANCEL_WAITED);
	call_due();
	cr_expect_eq(told, 1);
	cr_expect(kill_is_disabled());
}
