/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>
#include <pthread.h>

#include "reclaim/descent.h"
#include "support.h"

TestSuite(descent, .timeout = WATCHDOG_SECONDS);

static bool is_open_in_thread = true;

static void look(void)
{
	is_open_in_thread = descent_is_open();
}

Test(descent, belongs_to_the_thread)
{
	struct descent descent;
	struct thread thread;

	cr_expect_not(descent_is_open());
	descent_begin(&descent);
	thread_start(&thread, look);
	thread_join(&thread);
	descent_end(&descent);
	cr_expect_not(is_open_in_thread);
}

Test(descent, nests)
{
	struct descent outer, inner;

	descent_begin(&outer);
	cr_expect(descent_is_open());
	descent_begin(&inner);
	descent_end(&inner);
	cr_expect(descent_is_open());
	descent_end(&outer);
	cr_expect_not(descent_is_open());
}

static int cancel_state(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_setcancelstate(state, NULL);
	return state;
}

Test(descent, holds_cancellation_off)
{
	struct descent outer, inner;

	descent_begin(&outer);
	descent_begin(&inner);
	cr_expect_eq(cancel_state(), PTHREAD_CANCEL_DISABLE);
	descent_end(&inner);
	cr_expect_eq(cancel_state(), PTHREAD_CANCEL_DISABLE);
	descent_end(&outer);
	cr_expect_eq(cancel_state(), PTHREAD_CANCEL_ENABLE);
}

Test(descent, leaves_cancellation_off_that_was_off)
{
	struct descent descent;
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	descent_begin(&descent);
	descent_end(&descent);
	cr_expect_eq(cancel_state(), PTHREAD_CANCEL_DISABLE);
}
