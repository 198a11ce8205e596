/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose low and min are respected, and for how long: enum group_keeps. */
#include <criterion/criterion.h>

#include "add_group.h"
#include "fake_heap.h"
#include "kill/own_end.h"
#include "ladder/ladder.h"
#include "limits/group_low.h"
#include "oomreclaim.h"
#include "support.h"

/* One that has a low. */
static void begin(void)
{
	support_init();
	group_set_low(add_charged_group("protected", 0, 100), 100);
}

static const struct heap_request request = {.size = 1000, .alignment = 16};

TestSuite(keeps, .init = begin, .timeout = WATCHDOG_SECONDS);

static unsigned gives_left;

static size_t give(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	if (gives_left == 0)
		return 0;
	gives_left--;
	fake_heap_freed(1000);
	return 1000;
}

static void expect_after(unsigned attempts, enum group_keeps keeps)
{
	fake_heap_fail(attempts);
	fake_heap_clear_trace();
	ladder_descend(&request);
	cr_expect_eq(fake_heap_keeps, keeps, "%d after %s", fake_heap_keeps, fake_heap_trace());
}

/* As long as callbacks may give something, low is kept; and then min. */
Test(keeps, low_until_callbacks_have_nothing)
{
	oomreclaim_register("callback", 0, 0, give, NULL, NULL);
	expect_after(1, GROUP_KEEPS_LOW);
	gives_left = 1;
	expect_after(3, GROUP_KEEPS_LOW);
	cr_expect_eq(gives_left, 0);
	gives_left = 1;
	expect_after(FAKE_HEAP_ALWAYS, GROUP_KEEPS_MIN);
}

Test(keeps, min_where_no_callback_is_asked)
{
	static const unsigned scopes[] = {OOMRECLAIM_SCOPE_NORETRY, OOMRECLAIM_SCOPE_NORECLAIM};

	oomreclaim_register("callback", 0, 0, give, NULL, NULL);
	for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++) {
		unsigned old = oomreclaim_scope_save(scopes[i]);

		gives_left = 1;
		expect_after(1, GROUP_KEEPS_MIN);
		cr_expect_eq(gives_left, 1);
		oomreclaim_scope_restore(old);
	}
	cr_assert(own_end_mark(OOMRECLAIM_POLICY_ABORT));
	expect_after(1, GROUP_KEEPS_MIN);
}

/* What others have goes before low does. */
Test(keeps, low_where_others_have_something)
{
	fake_heap_evictions = 2;
	expect_after(2, GROUP_KEEPS_LOW);
	fake_heap_evictions = 2;
	expect_after(4, GROUP_KEEPS_MIN);
}

Test(keeps, min_where_there_is_no_callback)
{
	expect_after(1, GROUP_KEEPS_MIN);
}

/* In a group that has met its max, too. */
Test(keeps, below_a_max)
{
	unsigned job = add_group("job", 0);

	fake_heap_group = job;
	oomreclaim_register("callback", 0, 0, give, NULL, NULL);
	fake_heap_group_refuser = job;
	fake_heap_group_evictions = 1;
	gives_left = 1;
	expect_after(2, GROUP_KEEPS_LOW);
	fake_heap_group_evictions = UINT_MAX;
	expect_after(FAKE_HEAP_ALWAYS, GROUP_KEEPS_MIN);
}

/* What is asked for by hand. */
Test(keeps, by_hand)
{
	oomreclaim_register("callback", 0, 0, give, NULL, NULL);
	gives_left = 1;
	cr_expect_eq(oomreclaim_reclaim(1000), 1000);
	cr_expect_eq(fake_heap_keeps, GROUP_KEEPS_LOW);
	cr_expect_eq(oomreclaim_reclaim(1000), 0);
	cr_expect_eq(fake_heap_keeps, GROUP_KEEPS_MIN);
}
