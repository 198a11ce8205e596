/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>
#include <pthread.h>

#include "reclaim/scope.h"
#include "support.h"

TestSuite(scope, .timeout = WATCHDOG_SECONDS);

Test(scope, begins_empty)
{
	cr_expect_eq(scope_current(), 0);
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

static void look(void)
{
	seen_by_thread = scope_current();
}

Test(scope, belongs_to_the_thread)
{
	struct thread thread;

	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NORECLAIM);
	thread_start(&thread, look);
	thread_join(&thread);
	cr_expect_eq(seen_by_thread, 0);
}
