/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>
#include <pthread.h>

#include "reclaim/scope.h"
#include "support.h"

TestSuite(scope, .timeout = WATCHDOG_SECONDS);

Test(scope, begins_empty)
{
	cr_expect_eq(scope_current(), 0);
	cr_expect_not(scope_is_in_ladder());
}

Test(scope, save_adds_and_returns_what_was)
{
	unsigned first, second;

	first = oomreclaim_scope_save(OOMRECLAIM_SCOPE_NORETRY);
	cr_expect_eq(first, 0);
	cr_expect_eq(scope_current(), OOMRECLAIM_SCOPE_NORETRY);
	second = oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL);
	cr_expect_eq(second, OOMRECLAIM_SCOPE_NORETRY);
	cr_expect_eq(scope_current(), OOMRECLAIM_SCOPE_NORETRY | OOMRECLAIM_SCOPE_NOFAIL);
	oomreclaim_scope_restore(second);
	cr_expect_eq(scope_current(), OOMRECLAIM_SCOPE_NORETRY, "NORETRY was there before");
	oomreclaim_scope_restore(first);
	cr_expect_eq(scope_current(), 0);
}

Test(scope, every_flag_is_known)
{
	const unsigned flags[] = {OOMRECLAIM_SCOPE_NORETRY, OOMRECLAIM_SCOPE_RETRY_MAYFAIL,
	                          OOMRECLAIM_SCOPE_NOFAIL, OOMRECLAIM_SCOPE_NORECLAIM,
	                          OOMRECLAIM_SCOPE_RESERVE};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		unsigned old = oomreclaim_scope_save(flags[i]);

		cr_expect_eq(scope_current(), flags[i]);
		oomreclaim_scope_restore(old);
	}
}

Test(scope, unknown_bits_are_ignored)
{
	oomreclaim_scope_save(~0U);
	cr_expect_eq(scope_current(), SCOPE_ALL);
	oomreclaim_scope_restore(~0U);
	cr_expect_eq(scope_current(), SCOPE_ALL);
	oomreclaim_scope_restore(~(unsigned)SCOPE_ALL);
	cr_expect_eq(scope_current(), 0);
}

static unsigned seen_by_thread = ~0U;
static bool is_thread_in_ladder = true;

static void look(void)
{
	seen_by_thread = scope_current();
	is_thread_in_ladder = scope_is_in_ladder();
}

Test(scope, belongs_to_the_thread)
{
	struct scope_ladder enter;
	struct thread thread;

	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NORECLAIM);
	scope_enter_ladder(&enter);
	thread_start(&thread, look);
	thread_join(&thread);
	scope_leave_ladder(&enter);
	cr_expect_eq(seen_by_thread, 0);
	cr_expect_not(is_thread_in_ladder);
}

Test(scope, ladders_nest)
{
	struct scope_ladder outer, inner;

	scope_enter_ladder(&outer);
	cr_expect(scope_is_in_ladder());
	scope_enter_ladder(&inner);
	scope_leave_ladder(&inner);
	cr_expect(scope_is_in_ladder());
	scope_leave_ladder(&outer);
	cr_expect_not(scope_is_in_ladder());
}

static int cancel_state(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_setcancelstate(state, NULL);
	return state;
}

Test(scope, a_ladder_holds_cancellation_off)
{
	struct scope_ladder outer, inner;

	scope_enter_ladder(&outer);
	scope_enter_ladder(&inner);
	cr_expect_eq(cancel_state(), PTHREAD_CANCEL_DISABLE);
	scope_leave_ladder(&inner);
	cr_expect_eq(cancel_state(), PTHREAD_CANCEL_DISABLE);
	scope_leave_ladder(&outer);
	cr_expect_eq(cancel_state(), PTHREAD_CANCEL_ENABLE);
}

Test(scope, a_ladder_leaves_cancellation_off_that_was_off)
{
	struct scope_ladder enter;
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	scope_enter_ladder(&enter);
	scope_leave_ladder(&enter);
	cr_expect_eq(cancel_state(), PTHREAD_CANCEL_DISABLE);
}
