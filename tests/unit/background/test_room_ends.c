/* SPDX-License-Identifier: BSD-2-Clause */
/* How often oomreclaimd looks for room, once those that it looked for have gone. */
#include <criterion/criterion.h>

#include "background/room.h"
#include "base/own_thread.h"
#include "budget_set.h"
#include "fake_heap.h"
#include "limits/budget.h"
#include "reclaim/descent.h"
#include "reclaim/registry.h"
#include "support.h"

#define MIB ((size_t)1 << 20)

/* Without oomreclaimd, and by a clock that stands: a look is due so long after the last one. */
static void init(void)
{
	support_init();
	fake_heap_is_reentrant = true;
	fake_heap_evictable = 0;
	fake_clock_freeze();
	budget_set("limit:64M");
}

TestSuite(room_ends, .init = init, .timeout = WATCHDOG_SECONDS);

static unsigned counts;

static size_t count(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	counts++;
	return MIB;
}

static size_t nothing(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	return 0;
}

static oomreclaim_handle add(void)
{
	const struct oomreclaim_shrinker shrinker = {.name = "s",
	                                             .count = count,
	                                             .scan = nothing,
	                                             .cost = 1};
	oomreclaim_handle handle;

	cr_assert_eq(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, &handle), 0);
	return handle;
}

static oomreclaim_handle add_with_target(void)
{
	oomreclaim_handle handle = add();

	oomreclaim_cache_target(handle);
	return handle;
}

static void expect_next_look_in(int ms)
{
	struct descent descent;

	descent_begin(&descent);
	room_look();
	descent_end(&descent);
	cr_expect_eq(room_due_ms(), ms, "%d, not %d", room_due_ms(), ms);
}

Test(room_ends, with_the_last_cache_that_has_a_target)
{
	oomreclaim_handle first = add_with_target(), second = add_with_target(), without = add();

	expect_next_look_in(ROOM_INTERVAL_MS);
	cr_expect_eq(oomreclaim_unregister(first), 0);
	expect_next_look_in(ROOM_INTERVAL_MS);
	cr_expect_eq(oomreclaim_unregister(without), 0);
	expect_next_look_in(ROOM_INTERVAL_MS);
	without = add();
	cr_expect_eq(oomreclaim_unregister(second), 0);
	counts = 0;
	expect_next_look_in(ROOM_IDLE_MS);
	cr_expect_eq(counts, 0, "nobody needs to know what others have");
	add_with_target();
	expect_next_look_in(ROOM_INTERVAL_MS);
	cr_expect_eq(counts, 2);
	cr_expect_eq(oomreclaim_unregister(without), 0);
}

Test(room_ends, and_begins_at_once_with_the_next)
{
	oomreclaim_headroom(NULL);
	expect_next_look_in(ROOM_INTERVAL_MS);
	expect_next_look_in(ROOM_IDLE_MS);
	/* In place of oomreclaimd, which would sleep by now. */
	own_thread_await(1);
	oomreclaim_headroom(NULL);
	cr_expect_eq(own_thread_calls(), 0);
	add_with_target();
	cr_expect_neq(own_thread_calls(), 0);
}

Test(room_ends, with_the_last_callback_that_is_to_be_told)
{
	oomreclaim_handle handle;

	/* There is a time of reclaim, and no room behind it. */
	cr_assert(budget_take(64 * MIB));
	cr_assert_eq(oomreclaim_register("a", 0, 0, nothing, NULL, NULL), 0);
	cr_assert_eq(oomreclaim_register("b", 0, OOMRECLAIM_CALLBACK_ROOM, nothing, NULL, &handle),
	             0);
	expect_next_look_in(ROOM_IDLE_MS);
	oomreclaim_reclaim(MIB);
	expect_next_look_in(ROOM_INTERVAL_MS);
	fake_clock_advance(3600 * NSEC_PER_SEC);
	expect_next_look_in(ROOM_INTERVAL_MS);
	cr_expect_eq(oomreclaim_unregister(handle), 0);
	expect_next_look_in(ROOM_IDLE_MS);
}
