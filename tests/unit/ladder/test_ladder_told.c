/* SPDX-License-Identifier: BSD-2-Clause */
/* What the ladder tells the callbacks, and the budget of them. */
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "budget_set.h"
#include "config/options.h"
#include "fake_heap.h"
#include "ladder/ladder.h"
#include "limits/budget.h"
#include "support.h"

TestSuite(ladder_told, .init = support_init, .timeout = WATCHDOG_SECONDS);

static const struct heap_request request = {.size = 1000, .alignment = 16};
static unsigned calls;

static struct oomreclaim_control seen[MAX_RECLAIM_RETRIES];

static size_t look(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	seen[calls++] = *control;
	/* As much as is wanted, or the rest of the round would be asked for. */
	return control->bytes_wanted;
}

Test(ladder_told, what_a_callback_is_told)
{
	oomreclaim_register("look", 0, 0, look, NULL, NULL);
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	ladder_descend(&request);
	cr_assert_eq(calls, MAX_RECLAIM_RETRIES);
	for (unsigned i = 0; i < calls; i++) {
		cr_expect_eq(seen[i].struct_size, sizeof seen[i]);
		/* Twice as much each time, up to a thousandfold. */
		cr_expect_eq(seen[i].bytes_wanted, request.size << (i < 10 ? i : 10));
		cr_expect_eq(seen[i].size, request.size);
		cr_expect_eq(seen[i].alignment, request.alignment);
		cr_expect_eq(seen[i].reason, OOMRECLAIM_REASON_ALLOC);
		cr_expect_eq(seen[i].attempt, i);
		cr_expect(seen[i].is_direct);
		cr_expect_str_eq(seen[i].constraint, "NONE");
	}
}

Test(ladder_told, what_is_wanted_includes_the_alignment)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const struct heap_request aligned = {.size = 1000, .alignment = 64 * page};

	oomreclaim_register("look", 0, 0, look, NULL, NULL);
	fake_heap_fail(2);
	ladder_descend(&aligned);
	cr_assert_eq(calls, 1);
	cr_expect_eq(seen[0].bytes_wanted, 1000 + 63 * page);
	cr_expect_eq(seen[0].size, 1000);
	cr_expect_eq(seen[0].alignment, 64 * page);
}

static const char *constraint_told;

static enum oomreclaim_policy look_at_constraint(const struct oomreclaim_verdict *verdict,
                                                 void *arg)
{
	(void)arg;
	constraint_told = verdict->constraint;
	return OOMRECLAIM_POLICY_RETURN;
}

Test(ladder_told, what_stands_in_the_way_of_an_alignment)
{
	const struct heap_request aligned = {.size = 10, .alignment = (size_t)16 << 20};

	cr_assert_eq(options_apply("test", "costly:off", &options, NULL), 0);
	oomreclaim_set_policy_callback(look_at_constraint, NULL);
	oomreclaim_set_limit((size_t)24 << 20);
	cr_assert(budget_take((size_t)10 << 20));
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	ladder_descend(&aligned);
	cr_expect_str_eq(constraint_told, "BUDGET");
}

Test(ladder_told, at_the_budget_the_reason_is_limit)
{
	oomreclaim_register("look", 0, 0, look, NULL, NULL);
	oomreclaim_set_limit(65536);
	fake_heap_fail(2);
	ladder_descend(&request);
	cr_assert_eq(calls, 1);
	cr_expect_eq(seen[0].reason, OOMRECLAIM_REASON_LIMIT);
	cr_expect_str_eq(seen[0].constraint, "BUDGET");
}

Test(ladder_told, above_the_limit_the_rest_is_wanted_too)
{
	cr_assert(budget_take(100000));
	oomreclaim_set_limit(65536);
	oomreclaim_register("look", 0, 0, look, NULL, NULL);
	fake_heap_fail(2);
	ladder_descend(&request);
	cr_assert_eq(calls, 1);
	cr_expect_eq(seen[0].bytes_wanted, request.size + 100000 - 65536);
	/* And given back before it is used again. */
	cr_expect_str_eq(fake_heap_trace() + strlen(fake_heap_trace()) - 2, "pa", "%s",
	                 fake_heap_trace());
}

Test(ladder_told, a_request_for_nothing_wants_something)
{
	const struct heap_request nothing = {.size = 0};

	oomreclaim_register("look", 0, 0, look, NULL, NULL);
	fake_heap_fail(2);
	ladder_descend(&nothing);
	cr_assert_eq(calls, 1);
	cr_expect_eq(seen[0].bytes_wanted, 1);
}

Test(ladder_told, at_a_cgroup_s_limit_it_is_as_well, .fini = fake_proc_end)
{
	fake_proc_begin();
	fake_proc_write("/proc/self/mountinfo", "29 1 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
	fake_proc_write("/proc/self/cgroup", "0::/own\n");
	fake_proc_write("/cg/own/memory.max", "4096\n");
	fake_proc_write("/cg/own/memory.current", "4096\n");
	oomreclaim_register("look", 0, 0, look, NULL, NULL);
	fake_heap_fail(2);
	ladder_descend(&request);
	cr_assert_eq(calls, 1);
	cr_expect_eq(seen[0].reason, OOMRECLAIM_REASON_LIMIT);
	cr_expect_str_eq(seen[0].constraint, "CGROUP");
}

static const char *told;

static enum oomreclaim_policy look_at_verdict(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)arg;
	told = verdict->constraint;
	return verdict->policy;
}

/* Gives in the first round; in the second there is nothing, and a limit is met. */
static size_t give_once(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	if (control->attempt == 0)
		return 1;
	oomreclaim_set_limit(1 << 20);
	return 0;
}

Test(ladder_told, the_policy_hears_what_stands_in_the_way_now)
{
	oomreclaim_register("give", 0, 0, give_once, NULL, NULL);
	oomreclaim_set_policy_callback(look_at_verdict, NULL);
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	ladder_descend(&request);
	cr_expect_str_eq(told, "BUDGET");
}

static size_t freed_bytes;
static unsigned wakes;

static size_t claim_a_byte(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	fake_heap_freed(freed_bytes);
	return 1;
}

static void wake(void)
{
	wakes++;
}

static void expect_wakes(unsigned expected)
{
	fake_heap_fail(2);
	cr_expect(ladder_descend(&request) == fake_heap_block);
	cr_expect_not(budget_take(1));
	cr_expect_eq(wakes, expected, "%u, should be %u", wakes, expected);
}

/* Where oomreclaimd has given up, whoever is refused wakes it again once a callback had
   something. */
Test(ladder_told, the_budget_hears_that_something_came_of_it)
{
	cr_assert_eq(options_apply("test", "limit:16M,high:8M,low:4M", &options, NULL), 0);
	budget_init(wake);
	oomreclaim_register("claim", 0, 0, claim_a_byte, NULL, NULL);
	cr_assert(budget_take(16 << 20));
	budget_watermark_done(false);
	cr_expect_eq(wakes, 1);
	/* A claim is not enough. */
	expect_wakes(1);
	freed_bytes = 1;
	expect_wakes(2);
}

/* ---- What the kernel is asked ---- */

static enum constraint constraint_of_failure(void)
{
	struct oom_control control;

	fake_heap_fail(FAKE_HEAP_ALWAYS);
	ladder_begin(&control, &request);
	cr_expect_null(ladder_run(&control, RUNGS));
	return control.constraint;
}

Test(ladder_told, nobody_wants_to_know_the_limit)
{
	cr_expect_eq(constraint_of_failure(), CONSTRAINT_UNKNOWN);
}

Test(ladder_told, the_budget_is_known_without_asking)
{
	oomreclaim_set_limit(65536);
	cr_assert(budget_take(65536));
	cr_expect_eq(constraint_of_failure(), CONSTRAINT_BUDGET);
}

/* Others have given memory back since: the budget has room, and no rlimit is near. */
Test(ladder_told, what_refused_it_is_known_where_room_is_back)
{
	fake_heap_budget_refuser = CONSTRAINT_TOTAL;
	cr_expect_eq(constraint_of_failure(), CONSTRAINT_TOTAL);
	options.is_stats = true;
	cr_expect_eq(constraint_of_failure(), CONSTRAINT_TOTAL);
}

static size_t give_nothing(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	return 0;
}

Test(ladder_told, a_callback_wants_to_know)
{
	oomreclaim_register("nothing", 0, 0, give_nothing, NULL, NULL);
	cr_expect_eq(constraint_of_failure(), CONSTRAINT_NONE);
}

static enum oomreclaim_policy decide_return(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)verdict, (void)arg;
	return OOMRECLAIM_POLICY_RETURN;
}

Test(ladder_told, a_policy_callback_wants_to_know)
{
	oomreclaim_set_policy_callback(decide_return, NULL);
	cr_expect_eq(constraint_of_failure(), CONSTRAINT_NONE);
	oomreclaim_set_policy_callback(NULL, NULL);
	cr_expect_eq(constraint_of_failure(), CONSTRAINT_UNKNOWN);
}

/* Not for this request, but the policy would want to. */
Test(ladder_told, a_policy_wants_to_know)
{
	options.costly_bytes = 0;
	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	cr_expect_eq(constraint_of_failure(), CONSTRAINT_NONE);
}

Test(ladder_told, a_reader_wants_to_know)
{
	struct oomreclaim_stats stats;

	cr_expect_eq(oomreclaim_stats_get(&stats, sizeof stats), 0);
	cr_expect_eq(constraint_of_failure(), CONSTRAINT_NONE);
}

Test(ladder_told, readers_of_the_page_want_to_know)
{
	options.is_stats = true;
	cr_expect_eq(constraint_of_failure(), CONSTRAINT_NONE);
}

Test(ladder_told, a_report_wants_to_know)
{
	options.report = REPORT_ALWAYS;
	cr_expect_eq(constraint_of_failure(), CONSTRAINT_NONE);
}

Test(ladder_told, a_line_wants_to_know)
{
	options.is_verbose = true;
	cr_expect_eq(constraint_of_failure(), CONSTRAINT_NONE);
}
