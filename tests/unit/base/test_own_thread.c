/* SPDX-License-Identifier: BSD-2-Clause */
/* The word that a thread of the library's sleeps on. */
#include <criterion/criterion.h>
#include <stdatomic.h>

#include "base/own_thread.h"
#include "support.h"

TestSuite(own_thread, .init = support_init, .timeout = WATCHDOG_SECONDS);

enum { REASON = 4 };

static atomic_uint shared;
static unsigned called_for;

static void sleep_for_ever(void)
{
	called_for = own_thread_await(0);
}

static struct thread sleeper;

static void start_sleeper(void)
{
	own_thread_share(&shared);
	thread_start(&sleeper, sleep_for_ever);
	thread_wait_asleep(&sleeper);
}

Test(own_thread, is_called_by_a_word_that_is_shared)
{
	start_sleeper();
	own_thread_call_on(&shared, REASON);
	thread_join(&sleeper);
	cr_expect_eq(called_for, REASON);
	cr_expect_eq(own_thread_calls(), 0);
}

/* Another process was killed when it had written there, and had not yet woken anybody. */
Test(own_thread, is_called_behind_one_that_was_killed)
{
	start_sleeper();
	atomic_fetch_or(&shared, REASON);
	own_thread_call(REASON);
	thread_join(&sleeper);
	cr_expect_eq(called_for, REASON);
}
