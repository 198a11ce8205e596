/* SPDX-License-Identifier: BSD-2-Clause */
/* What is said at the end of the ladder, and when. test_report.c has its form. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/base.h"
#include "config/options.h"
#include "fake_heap.h"
#include "ladder/ladder.h"
#include "support.h"

TestSuite(report_when, .init = support_init, .timeout = WATCHDOG_SECONDS);

static const struct heap_request request = {.size = 1000};
static const struct heap_request impossible = {.size = SIZE_MAX};

static void descend(void)
{
	ladder_descend(&request);
}

static void descend_for_the_impossible(void)
{
	ladder_descend(&impossible);
}

#define REPORT "? invoked oom-reclaim: size=1000, "
#define ABORTING "Out of memory: aborting process "

/* Runs a descent that fails, in a child, and expects one write that begins and goes on like this;
   or nothing, for NULL. */
static void expect_said(void (*function)(void), const char *conf, const char *first,
                        const char *further)
{
	struct capture capture;
	const char *said;

	cr_assert_eq(options_apply("test", conf, &options, NULL), 0);
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	capture_begin(&capture);
	run_child(function);
	said = capture_next(&capture);
	if (first == NULL) {
		cr_expect_str_eq(said, "", "%s", conf);
	} else {
		cr_expect(strncmp(said, first, strlen(first)) == 0, "%s: %s", conf, said);
		cr_expect(strstr(said, further) != NULL, "%s: %s", conf, said);
	}
	cr_expect_str_eq(capture_next(&capture), "", "%s: once", conf);
	capture_end(&capture);
}

Test(report_when, silent_by_default)
{
	expect_said(descend, "policy:return", NULL, NULL);
}

Test(report_when, auto_is_before_the_end)
{
	expect_said(descend, "policy:abort", REPORT, ABORTING);
	expect_said(descend, "policy:kill", REPORT, "Out of memory: Killed process ");
}

Test(report_when, never)
{
	expect_said(descend, "report:never,policy:abort", NULL, NULL);
	expect_said(descend, "policy:kill", NULL, NULL);
	expect_said(descend, "policy:return", NULL, NULL);
}

Test(report_when, always)
{
	expect_said(descend, "report:always", REPORT, "Out of memory: returning NULL to process ");
	expect_said(descend, "policy:abort", REPORT, ABORTING);
}

Test(report_when, verbose_is_a_line)
{
	const char *line = "oomreclaim: no memory for 1000 bytes (constraint=NONE): 0 rounds of "
			   "callbacks claimed 0 bytes\n";

	expect_said(descend, "verbose:true", line, "");
	expect_said(descend, "report:always", REPORT, "");
}

/* Accepted as it stands, and then: no. */
Test(report_when, why_it_is_not_allowed)
{
	expect_said(descend, "policy:kill,costly:999,report:always", REPORT,
	            "\n  policy kill not allowed: the size is above the setting costly\n"
	            "Out of memory: returning NULL to process ");
	expect_said(descend, "policy:abort,report:auto,verbose:true",
	            "oomreclaim: no memory for 1000 bytes (constraint=NONE): 0 rounds of callbacks "
	            "claimed 0 bytes; no kill: the size is above the setting costly\n",
	            "");
	expect_said(descend, "policy:return",
	            "oomreclaim: no memory for 1000 bytes (constraint=NONE): 0 rounds of callbacks "
	            "claimed 0 bytes\n",
	            "");
}

Test(report_when, the_impossible)
{
	expect_said(descend_for_the_impossible, "policy:abort", NULL, NULL);
	expect_said(descend_for_the_impossible, "verbose:true",
	            "oomreclaim: no memory for 18446744073709551615 bytes (constraint=NONE): an "
	            "impossible request; no kill: no memory that is freed could be enough\n",
	            "");
	expect_said(descend_for_the_impossible, "policy:return,report:always",
	            "? invoked oom-reclaim: size=18446744073709551615, order=52, ",
	            "\nImpossible request: returning NULL to process ");
}

static void descend_above_the_limit(void)
{
	const struct heap_request above = {.size = 10, .alignment = (size_t)1 << 30};

	oomreclaim_set_limit((size_t)64 << 20);
	ladder_descend(&above);
}

Test(report_when, an_alignment_above_the_limit)
{
	expect_said(descend_above_the_limit, "verbose:true",
	            "oomreclaim: no memory for 10 bytes, aligned to 1073741824 "
	            "(constraint=BUDGET): an impossible request\n",
	            "");
	expect_said(descend_above_the_limit, "report:always",
	            "? invoked oom-reclaim: size=10, alignment=1073741824, order=18, scope=0, "
	            "constraint=BUDGET, policy=return\n",
	            "\nImpossible request: returning NULL to process ");
}

Test(report_when, nothing_where_the_heap_may_be_locked)
{
	fake_heap_is_reentrant = true;
	expect_said(descend, "verbose:true,report:always", NULL, NULL);
}

static void descend_in_nofail(void)
{
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL);
	ladder_descend(&request);
}

Test(report_when, before_nofail_aborts)
{
	expect_said(descend_in_nofail, "nofail_ms:1", REPORT, ABORTING);
}

static void descend_in_vain(void)
{
	struct oom_control control;

	ladder_begin(&control, &request);
	ladder_run(&control, RUNG_POLICY);
}

Test(report_when, not_before_the_caller_is_through)
{
	expect_said(descend_in_vain, "verbose:true,report:always", NULL, NULL);
}

Test(report_when, always_but_not_without_end)
{
	struct capture capture;
	unsigned reports = 0;

	cr_assert_eq(options_apply("test", "report:always", &options, NULL), 0);
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	fake_clock_freeze();
	capture_begin(&capture);
	for (int i = 0; i < 15; i++)
		ladder_descend(&request);
	while (strncmp(capture_next(&capture), REPORT, strlen(REPORT)) == 0)
		reports++;
	capture_end(&capture);
	cr_expect_eq(reports, 10);
}
