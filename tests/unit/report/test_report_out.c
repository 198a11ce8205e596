/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the report goes, and how often. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/io.h"
#include "base/io_read.h"
#include "config/options.h"
#include "report/report.h"
#include "support.h"

static struct capture capture;

static void init(void)
{
	support_init();
	fake_proc_begin();
	capture_begin(&capture);
}

static void fini(void)
{
	capture_end(&capture);
	fake_proc_end();
}

TestSuite(report_out, .init = init, .fini = fini, .timeout = WATCHDOG_SECONDS);

static const struct heap_request request = {.size = 1000};

static void write_report(void)
{
	const struct oom_control control = {.request = &request, .facts.began_ns = now_ns()};
	const struct report_verdict returned = {.policy = OOMRECLAIM_POLICY_RETURN};

	errno = ERRNO_UNTOUCHED;
	report_write(&control, &returned);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
}

static bool is_report(const char *text)
{
	return strncmp(text, "? invoked oom-reclaim: ", 23) == 0;
}

/* ---- Where ---- */

static char log_path[OPTIONS_PATH_MAX + 1];

static void set_log(const char *path)
{
	fake_proc_path(options.log_path, sizeof options.log_path, path);
	strcpy(log_path, options.log_path);
}

static unsigned reports_in_log(void)
{
	char text[65536];
	unsigned count = 0;

	if (io_read_file(log_path, text, sizeof text) < 0)
		return 0;
	for (const char *at = text; (at = strstr(at, "invoked oom-reclaim: ")) != NULL; at++)
		count++;
	return count;
}

Test(report_out, one_write_to_stderr)
{
	write_report();
	cr_expect(is_report(capture_next(&capture)));
	cr_expect_str_eq(capture_next(&capture), "");
}

Test(report_out, a_log_is_made_and_appended_to)
{
	struct stat status;

	set_log("/log");
	write_report();
	write_report();
	cr_expect_eq(reports_in_log(), 2);
	cr_expect_str_eq(capture_next(&capture), "", "not on stderr as well");
	cr_assert_eq(stat(log_path, &status), 0);
	cr_expect_eq(status.st_mode & 07777, 0600, "nobody else's to read");
}

Test(report_out, a_log_may_be_moved_away)
{
	char moved[OPTIONS_PATH_MAX + 8];

	set_log("/log");
	write_report();
	snprintf(moved, sizeof moved, "%s.1", log_path);
	cr_assert_eq(rename(log_path, moved), 0);
	write_report();
	cr_expect_eq(reports_in_log(), 1);
}

Test(report_out, a_log_that_cannot_be_opened)
{
	set_log("/no/such/directory/log");
	write_report();
	cr_expect(is_report(capture_next(&capture)), "to stderr instead");
	cr_expect_str_eq(capture_next(&capture), "");
}

Test(report_out, a_log_that_cannot_be_written)
{
	strcpy(options.log_path, "/dev/full");
	write_report();
	cr_expect(is_report(capture_next(&capture)), "to stderr instead");
}

Test(report_out, no_descriptor_is_kept)
{
	int before = dup(STDIN_FILENO), after;

	close(before);
	set_log("/log");
	write_report();
	after = dup(STDIN_FILENO);
	close(after);
	cr_expect_eq(after, before);
}

Test(report_out, stderr_closed)
{
	int saved = dup(STDERR_FILENO);

	close(STDERR_FILENO);
	write_report();
	cr_assert_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	cr_expect_str_eq(capture_next(&capture), "");
}

/* ---- How often ---- */

enum { BURST = 10 };

static void spend_burst(void)
{
	for (int i = 0; i < BURST; i++)
		cr_expect(report_may_write(), "number %d", i);
}

Test(report_out, ten_in_five_seconds)
{
	fake_clock_freeze();
	spend_burst();
	fake_clock_advance(5 * NSEC_PER_SEC);
	cr_expect_not(report_may_write());
	cr_expect_not(report_may_write());
	cr_expect_str_eq(capture_next(&capture), "");
	fake_clock_advance(1);
	cr_expect(report_may_write());
	cr_expect_str_eq(capture_next(&capture), "oomreclaim: 2 reports left out\n");
	for (int i = 1; i < BURST; i++)
		cr_expect(report_may_write(), "number %d", i);
	cr_expect_not(report_may_write());
	fake_clock_advance(6 * NSEC_PER_SEC);
	cr_expect(report_may_write());
	cr_expect_str_eq(capture_next(&capture), "oomreclaim: 1 reports left out\n");
}

Test(report_out, none_was_left_out)
{
	fake_clock_freeze();
	spend_burst();
	fake_clock_advance(6 * NSEC_PER_SEC);
	spend_burst();
	cr_expect_str_eq(capture_next(&capture), "");
}

Test(report_out, the_interval_begins_with_the_first)
{
	fake_clock_freeze();
	fake_clock_advance(3600 * NSEC_PER_SEC);
	cr_expect(report_may_write());
	fake_clock_advance(4 * NSEC_PER_SEC);
	for (int i = 1; i < BURST; i++)
		cr_expect(report_may_write());
	fake_clock_advance(NSEC_PER_SEC + 1);
	cr_expect(report_may_write());
}

/* ---- Lines ---- */

Test(report_out, lines)
{
	const struct oom_control control = {.request = &request,
	                                    .constraint = CONSTRAINT_CGROUP,
	                                    .tried.rounds = 7,
	                                    .tried.claimed_bytes = 12345};

	errno = ERRNO_UNTOUCHED;
	report_failure(&control, NULL);
	cr_expect_str_eq(capture_next(&capture),
	                 "oomreclaim: no memory for 1000 bytes (constraint=CGROUP): 7 rounds of "
	                 "callbacks claimed 12345 bytes\n");
	report_failure(&control, "a reason");
	cr_expect_str_eq(capture_next(&capture),
	                 "oomreclaim: no memory for 1000 bytes (constraint=CGROUP): 7 rounds of "
	                 "callbacks claimed 12345 bytes; no kill: a reason\n");
	options.wait_ms = 77;
	report_timeout(&control, "the callback");
	cr_expect_str_eq(capture_next(&capture),
	                 "oomreclaim: no memory for 1000 bytes: gave up after 77 ms of waiting for "
	                 "callback \"the callback\" in another thread\n");
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
}

/* A fork while another thread writes a report must leave the child able to write one. */
static void child_reports(void)
{
	write_report();
	_exit(report_may_write() ? 0 : 1);
}

Test(report_out, fork)
{
	cr_expect_eq(run_child(child_reports), 0);
	cr_expect(is_report(capture_next(&capture)));
}
