/* SPDX-License-Identifier: BSD-2-Clause */
/* The counters: what counts as what, and how they are read. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "budget_set.h"
#include "config/options.h"
#include "fake_heap.h"
#include "ladder/ladder.h"
#include "limits/budget.h"
#include "report/stats.h"
#include "support.h"

TestSuite(stats, .init = support_init, .timeout = WATCHDOG_SECONDS);

static const struct heap_request request = {.size = 4096};

static struct oomreclaim_stats now(void)
{
	struct oomreclaim_stats stats;

	cr_assert_eq(oomreclaim_stats_get(&stats, sizeof stats), 0);
	return stats;
}

static size_t give(const struct oomreclaim_control *control, void *arg)
{
	size_t *left = arg;
	size_t given = *left;

	(void)control;
	*left = 0;
	fake_heap_freed(given);
	return given;
}

/* ---- What is counted ---- */

Test(stats, nothing_has_happened)
{
	struct oomreclaim_stats stats = now();

	cr_expect_eq(stats.failures, 0);
	cr_expect_eq(stats.served, 0);
	cr_expect_eq(stats.refused, 0);
	cr_expect_eq(stats.last_outcome, OOMRECLAIM_OUTCOME_NONE);
	cr_expect_eq(stats.last_time_ns, 0);
	cr_expect_str_eq(stats.last_constraint, "");
	cr_expect_eq(stats.limit, UINT64_MAX);
	cr_expect_eq(stats.high, UINT64_MAX);
	cr_expect_eq(stats.low, UINT64_MAX);
}

Test(stats, own_reclaim_is_enough)
{
	struct oomreclaim_stats stats;

	cr_assert_eq(ladder_descend(&request), fake_heap_block);
	stats = now();
	cr_expect_eq(stats.failures, 1);
	cr_expect_eq(stats.served, 1);
	cr_expect_eq(stats.refused, 0);
	cr_expect_eq(stats.own_reclaims, 1);
	cr_expect_eq(stats.rounds, 0);
	cr_expect_eq(stats.last_outcome, OOMRECLAIM_OUTCOME_SERVED);
	cr_expect_eq(stats.last_size, 4096);
	cr_expect_gt(stats.last_time_ns, 0);
}

Test(stats, callbacks_that_give_and_then_have_no_more)
{
	struct oomreclaim_stats stats;
	size_t left = 5000;

	oomreclaim_register("giver", 0, 0, give, &left, NULL);
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	cr_assert_null(ladder_descend(&request));
	stats = now();
	cr_expect_eq(stats.failures, 1);
	cr_expect_eq(stats.served, 0);
	cr_expect_eq(stats.refused, 1);
	cr_expect_eq(stats.rounds, 2);
	cr_expect_eq(stats.direct_rounds, 2);
	cr_expect_eq(stats.direct_bytes_claimed, 5000);
	cr_expect_eq(stats.direct_bytes_measured, 5000);
	cr_expect_eq(stats.background_rounds, 0);
	cr_expect_eq(stats.policies, 1);
	cr_expect_eq(stats.callbacks, 1);
	cr_expect_eq(stats.last_outcome, OOMRECLAIM_OUTCOME_NULL);
	cr_expect_eq(stats.last_pid, 0);
}

Test(stats, an_impossible_request)
{
	const struct heap_request huge = {.size = SIZE_MAX};
	struct oomreclaim_stats stats;

	cr_assert_null(ladder_descend(&huge));
	stats = now();
	cr_expect_eq(stats.failures, 1);
	cr_expect_eq(stats.impossible, 1);
	cr_expect_eq(stats.refused, 1);
	cr_expect_eq(stats.own_reclaims, 0);
	cr_expect_eq(stats.last_size, SIZE_MAX);
	cr_expect_str_eq(stats.last_constraint, "NONE");
	oomreclaim_set_limit(1 << 20);
	cr_assert_null(ladder_descend(&huge));
	cr_expect_str_eq(now().last_constraint, "BUDGET");
}

Test(stats, the_reserve)
{
	fake_heap_fill_reserve(1);
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_RESERVE);
	cr_assert_eq(ladder_descend(&request), fake_heap_reserve_block);
	cr_expect_eq(now().reserve_uses, 1);
	cr_expect_eq(now().served, 1);
}

Test(stats, operator_new_counts_once)
{
	struct oom_control control;

	fake_heap_fail(FAKE_HEAP_ALWAYS);
	ladder_begin(&control, &request);
	cr_assert_null(ladder_run(&control, RUNG_POLICY));
	cr_expect_eq(now().refused, 0, "the new_handler comes first");
	cr_assert_null(ladder_run(&control, RUNGS));
	cr_expect_eq(now().failures, 1);
	cr_expect_eq(now().refused, 1);
}

Test(stats, a_kill_of_this_process)
{
	struct oomreclaim_stats stats;

	signal(SIGUSR1, SIG_IGN);
	options_apply("test", "policy:kill,kill_signal:USR1,kill_grace_ms:3600000,report:never",
	              &options, NULL);
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	cr_assert_null(ladder_descend(&request));
	stats = now();
	cr_expect_eq(stats.kills, 1);
	cr_expect_eq(stats.refused, 1);
	cr_expect_eq(stats.policies, 1);
}

Test(stats, the_budget)
{
	struct oomreclaim_stats stats;

	options_apply("test", "limit:16M,high:50%,low:25%", &options, NULL);
	budget_init(NULL);
	cr_assert(budget_take(1000));
	cr_assert_not(budget_take(16 << 20));
	stats = now();
	cr_expect_eq(stats.limit, 16 << 20);
	cr_expect_eq(stats.charged, 1000);
	cr_expect_eq(stats.charged_peak, 1000);
	cr_expect_eq(stats.limit_times_met, 1);
	cr_expect_eq(stats.high, 50 * ((16 << 20) / 100));
	cr_expect_eq(stats.low, 25 * ((16 << 20) / 100));
}

Test(stats, the_heap)
{
	static const struct heap_stats heap = {.allocated = 1,
	                                       .active = 2,
	                                       .metadata = 3,
	                                       .resident = 4,
	                                       .mapped = 5,
	                                       .retained = 6,
	                                       .dirty = 7};
	struct oomreclaim_stats stats;

	fake_heap_stats = &heap;
	stats = now();
	cr_expect_eq(stats.heap_allocated, 1);
	cr_expect_eq(stats.heap_active, 2);
	cr_expect_eq(stats.heap_metadata, 3);
	cr_expect_eq(stats.heap_resident, 4);
	cr_expect_eq(stats.heap_mapped, 5);
	cr_expect_eq(stats.heap_retained, 6);
	cr_expect_eq(stats.heap_dirty, 7);
}

static void expect_inherited(void)
{
	struct oomreclaim_stats stats = now();

	_exit(stats.failures == 1 && stats.last_size == 4096 ? 0 : 1);
}

Test(stats, a_child_goes_on_from_its_parents)
{
	int status;

	cr_assert_not_null(ladder_descend(&request));
	status = run_child(expect_inherited);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- How it is read ---- */

Test(stats, errors)
{
	struct oomreclaim_stats stats;

	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(oomreclaim_stats_get(NULL, sizeof stats), EINVAL);
	cr_expect_eq(oomreclaim_stats_get(&stats, 7), EINVAL);
	cr_expect_eq(oomreclaim_stats_get(&stats, sizeof stats), 0);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
}

Test(stats, programs_older_and_newer_than_the_library)
{
	struct {
		struct oomreclaim_stats stats;
		char newer[64];
	} room;

	memset(&room, 0x55, sizeof room);
	cr_expect_eq(oomreclaim_stats_get(&room.stats, 16), 0);
	cr_expect_eq(room.stats.struct_size, 16);
	cr_expect_eq(room.stats.heap_active, 0x5555555555555555);
	cr_expect_eq(oomreclaim_stats_get(&room.stats, sizeof room), 0);
	cr_expect_eq(room.stats.struct_size, sizeof room.stats);
	cr_expect_eq(room.newer[0], 0x55);
}

/* ---- As text ---- */

static char text[8192];

static const char *printed(bool is_json)
{
	struct io_buf buf = {.text = text, .bytes = sizeof text};

	stats_put(&buf, is_json);
	stats_put_end(&buf, is_json);
	return text;
}

Test(stats, as_text)
{
	size_t left = 5000;

	oomreclaim_register("a \"name\\", -3, 0, give, &left, NULL);
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	ladder_descend(&request);
	printed(false);
	cr_expect_not_null(strstr(text, "\nlimit: none\n"));
	cr_expect_not_null(strstr(text, "\nfailures: 1\n"));
	cr_expect_not_null(strstr(text, "\nlast_outcome: NULL\n"));
	cr_expect_not_null(strstr(text,
	                          "\ncallback a \"name\\: priority -3, calls 2, claimed 5000, "
	                          "measured 5000, longest_ns "));
	printed(true);
	cr_expect_not_null(strstr(text, "\"limit\": null, "));
	cr_expect_not_null(strstr(text, "\"failures\": 1, "));
	cr_expect_not_null(
		strstr(text, "[{\"name\": \"a \\\"name\\\\\", \"priority\": -3, \"calls\": 2"));
	cr_expect_str_eq(text + strlen(text) - 2, "]}");
}

static size_t count(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	return *(const size_t *)arg;
}

Test(stats, of_caches)
{
	static size_t bytes = 5 << 20;
	const struct oomreclaim_shrinker shrinker = {.name = "cache",
	                                             .count = count,
	                                             .scan = give,
	                                             .arg = &bytes,
	                                             .cost = 1};
	oomreclaim_handle handle;
	size_t target;

	budget_set("limit:64M");
	fake_heap_evictable = 0;
	cr_assert(budget_take(60 << 20));
	cr_assert_eq(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, &handle), 0);
	cr_expect_null(strstr(printed(false), "counted"));
	cr_expect_null(strstr(text, "target"));
	cr_expect_not_null(strstr(text, "\nheadroom: 4194304\n"));
	cr_expect_not_null(strstr(text, "\nlevel: 100\n"));
	cr_expect_not_null(strstr(text, "\nheadroom_constraint: BUDGET\n"));
	cr_assert_eq(oomreclaim_cache_target(handle), SIZE_MAX);
	cr_assert_eq(oomreclaim_cache_regret(handle, 77), 0);
	while ((target = oomreclaim_cache_target(handle)) == SIZE_MAX)
		usleep(1000);
	cr_expect_not_null(
		strstr(printed(false), ", counted 5242880, target 8843264, regretted 77\n"));
	cr_expect_not_null(strstr(printed(true), ", \"bytes_counted\": 5242880, \"bytes_target\": "
	                                         "8843264, \"bytes_regretted\": 77}"));
	cr_expect_not_null(strstr(text, ", \"headroom_constraint\": \"BUDGET\", "));
	budget_set_limit(SIZE_MAX);
	cr_expect_not_null(strstr(printed(false), "\nheadroom: none\nlevel: 0\n"));
	while (oomreclaim_cache_target(handle) != SIZE_MAX)
		usleep(1000);
	cr_expect_not_null(
		strstr(printed(true), ", \"bytes_target\": null, \"bytes_regretted\": 77}"));
}

Test(stats, more_callbacks_than_are_shown)
{
	size_t left = 0;

	for (int i = 0; i < 20; i++)
		oomreclaim_register("one", 0, 0, give, &left, NULL);
	cr_expect_not_null(strstr(printed(false), "\n... and 4 more callbacks\n"));
	cr_expect_eq(now().callbacks, 20);
	cr_expect_lt(strlen(printed(true)), 8192, "the room that malloc_stats_print() has");
}

Test(stats, outcomes)
{
	cr_expect_str_eq(stats_outcome_name(OOMRECLAIM_OUTCOME_NONE), "none");
	cr_expect_str_eq(stats_outcome_name(OOMRECLAIM_OUTCOME_KILL_OTHER), "kill other");
	cr_expect_str_eq(stats_outcome_name(6), "?");
}
