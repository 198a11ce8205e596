/* SPDX-License-Identifier: BSD-2-Clause */
/* How short memory is, and who is told. */
#include <criterion/criterion.h>

#include "budget_set.h"
#include "config/options.h"
#include "limits/budget.h"
#include "reclaim/level.h"
#include "shrinkers.h"

static void init(void)
{
	support_init();
	fake_clock_freeze();
	fake_heap_evictable = 0;
	budget_set("limit:100M");
}

TestSuite(level, .init = init, .timeout = WATCHDOG_SECONDS);

#define NONE OOMRECLAIM_LEVEL_NONE
#define LOW OOMRECLAIM_LEVEL_LOW
#define MEDIUM OOMRECLAIM_LEVEL_MEDIUM
#define CRITICAL OOMRECLAIM_LEVEL_CRITICAL

#define ALLOC .reason = OOMRECLAIM_REASON_ALLOC, .left_percent = 0
#define LIMIT .reason = OOMRECLAIM_REASON_LIMIT, .left_percent = 0
#define MANUAL .reason = OOMRECLAIM_REASON_MANUAL
#define WATERMARK .reason = OOMRECLAIM_REASON_WATERMARK
#define PRESSURE .reason = OOMRECLAIM_REASON_PRESSURE
#define SHARED .is_shared = true
#define PRESSING .is_pressing = true

static const struct {
	struct level_facts facts;
	enum oomreclaim_level level;
} table[] = {
	/* What is left says nothing of a program that lives at its limit. */
	{{ALLOC, .attempt = 0}, LOW},
	{{LIMIT, .attempt = 0}, LOW},
	{{ALLOC, .attempt = 1}, MEDIUM},
	{{LIMIT, .attempt = 3}, MEDIUM},
	{{ALLOC, .attempt = 4}, CRITICAL},
	{{LIMIT, .attempt = 100}, CRITICAL},
	{{ALLOC, .attempt = 0, SHARED}, MEDIUM},
	{{ALLOC, .attempt = 1, SHARED}, CRITICAL},
	{{ALLOC, .attempt = 0, PRESSING}, MEDIUM},
	{{ALLOC, .attempt = 4, PRESSING}, CRITICAL},
	{{MANUAL, .left_percent = 100}, NONE},
	{{MANUAL, .left_percent = 20}, NONE},
	{{MANUAL, .left_percent = 19}, LOW},
	{{MANUAL, .left_percent = 10}, LOW},
	{{MANUAL, .left_percent = 9}, MEDIUM},
	{{MANUAL, .left_percent = 5}, MEDIUM},
	{{MANUAL, .left_percent = 4}, CRITICAL},
	{{MANUAL, .left_percent = 100, PRESSING}, MEDIUM},
	{{MANUAL, .left_percent = 100, .attempt = 9, SHARED}, NONE},
	{{WATERMARK, .left_percent = 100}, LOW},
	{{WATERMARK, .left_percent = 9}, MEDIUM},
	{{WATERMARK, .left_percent = 0}, CRITICAL},
	{{WATERMARK, .left_percent = 100, SHARED}, LOW},
	{{PRESSURE, .left_percent = 100}, MEDIUM},
	{{PRESSURE, .left_percent = 4}, CRITICAL},
	{{.reason = OOMRECLAIM_REASON_ROOM, .left_percent = 0, PRESSING}, NONE},
};

Test(level, by_its_facts)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		cr_expect_eq(level_of(&table[i].facts, &options.levels), table[i].level,
		             "row %zu: %d", i, (int)level_of(&table[i].facts, &options.levels));
}

Test(level, thresholds_are_settings)
{
	const struct level_facts rest = {MANUAL, .left_percent = 30},
				 rounds = {ALLOC, .attempt = 2};

	budget_set("levels:90/50/31/3/7");
	cr_expect_eq(level_of(&rest, &options.levels), CRITICAL);
	cr_expect_eq(level_of(&rounds, &options.levels), LOW);
	budget_set("levels:0/0/0/0/0");
	cr_expect_eq(level_of(&rest, &options.levels), NONE);
	cr_expect_eq(level_of(&rounds, &options.levels), CRITICAL);
}

/* ---- What a callback is told ---- */

static enum oomreclaim_level told;

static size_t note(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	told = control->level;
	return 0;
}

static enum oomreclaim_level in_round(enum oomreclaim_reason reason, unsigned attempt,
                                      const char *constraint)
{
	const struct reclaim_request request = {.wanted_bytes = 1,
	                                        .constraint = constraint,
	                                        .attempt = attempt,
	                                        .reason = reason,
	                                        .deadline_ns = now_ns() + NSEC_PER_SEC};
	struct reclaim_progress progress;
	struct descent descent;

	told = (enum oomreclaim_level)1;
	descent_begin(&descent);
	reclaim_round(&request, &progress);
	descent_end(&descent);
	return told;
}

Test(level, callbacks_are_told)
{
	cr_assert_eq(oomreclaim_register("note", 0, 0, note, NULL, NULL), 0);
	cr_expect_eq(in_round(OOMRECLAIM_REASON_MANUAL, 0, "NONE"), NONE);
	cr_expect_eq(in_round(OOMRECLAIM_REASON_ALLOC, 0, "RLIMIT_AS"), LOW);
	cr_expect_eq(in_round(OOMRECLAIM_REASON_ALLOC, 2, "RLIMIT_AS"), MEDIUM);
	cr_expect_eq(in_round(OOMRECLAIM_REASON_ALLOC, 0, "CGROUP"), MEDIUM);
	cr_expect_eq(in_round(OOMRECLAIM_REASON_ALLOC, 0, "OVERCOMMIT"), MEDIUM);
	cr_expect_eq(in_round(OOMRECLAIM_REASON_ALLOC, 0, "NONE"), MEDIUM);
	cr_expect_eq(in_round(OOMRECLAIM_REASON_ALLOC, 0, "UNKNOWN"), LOW);
	cr_assert(budget_take(85 * MIB));
	cr_expect_eq(in_round(OOMRECLAIM_REASON_MANUAL, 0, "NONE"), LOW);
	cr_assert(budget_take(12 * MIB));
	cr_expect_eq(in_round(OOMRECLAIM_REASON_MANUAL, 0, "NONE"), CRITICAL);
	fake_heap_evictable = 50 * MIB;
	cr_expect_eq(in_round(OOMRECLAIM_REASON_MANUAL, 0, "NONE"), NONE);
}

Test(level, the_watermark_is_no_limit)
{
	budget_set("limit:100M,high:10M");
	cr_assert_eq(oomreclaim_register("note", 0, 0, note, NULL, NULL), 0);
	cr_assert(budget_take(20 * MIB));
	cr_expect_eq(in_round(OOMRECLAIM_REASON_WATERMARK, 0, "NONE"), LOW);
}

Test(level, pressure_holds_for_a_while)
{
	cr_assert_eq(oomreclaim_register("note", 0, 0, note, NULL, NULL), 0);
	level_note_pressure();
	cr_expect_eq(in_round(OOMRECLAIM_REASON_MANUAL, 0, "NONE"), MEDIUM);
	fake_clock_advance(10 * NSEC_PER_SEC - 1);
	cr_expect_eq(in_round(OOMRECLAIM_REASON_MANUAL, 0, "NONE"), MEDIUM);
	fake_clock_advance(1);
	cr_expect_eq(in_round(OOMRECLAIM_REASON_MANUAL, 0, "NONE"), NONE);
}

static enum oomreclaim_level counted, scanned;

static size_t count_level(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	counted = control->level;
	return MIB;
}

static size_t scan_level(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	scanned = control->level;
	return control->bytes_wanted;
}

Test(level, shrinkers_as_well)
{
	add(count_level, scan_level, NULL);
	in_round(OOMRECLAIM_REASON_ALLOC, 7, "BUDGET");
	cr_expect_eq(counted, CRITICAL);
	cr_expect_eq(scanned, CRITICAL);
	want(MIB);
	cr_expect_eq(scanned, MEDIUM);
}
