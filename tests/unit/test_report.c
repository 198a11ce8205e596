/* SPDX-License-Identifier: BSD-2-Clause */
/* The form of the report, where it goes, and how often. test_report_when.c has when. */
#include <criterion/criterion.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base.h"
#include "fake_heap.h"
#include "report.h"
#include "support.h"

static struct capture capture;

static void init(void)
{
	support_init();
	fake_proc_begin();
	fake_proc_write("/proc/self/comm", "a-program\n");
	capture_begin(&capture);
}

static void fini(void)
{
	capture_end(&capture);
	fake_proc_end();
}

TestSuite(report, .init = init, .fini = fini, .timeout = WATCHDOG_SECONDS);

static const struct heap_request request = {.size = 70000, .alignment = 16};
static const struct report_verdict returned = {.policy = OOMRECLAIM_POLICY_RETURN};

static struct oom_control a_control(void)
{
	return (struct oom_control){.request = &request,
	                            .constraint = CONSTRAINT_RLIMIT_AS,
	                            .rounds = 3,
	                            .claimed_bytes = 5000,
	                            .began_ns = now_ns()};
}

/* The whole report of `control`, from the one write that it is. */
static const char *written(const struct oom_control *control, const struct report_verdict *verdict)
{
	static char text[65536];

	report_write(control, verdict);
	strcpy(text, capture_next(&capture));
	cr_expect_str_eq(capture_next(&capture), "", "a second write");
	return text;
}

static void expect_match(const char *text, const char *pattern)
{
	regex_t regex;

	cr_assert_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NEWLINE | REG_NOSUB), 0, "%s",
	             pattern);
	cr_expect_eq(regexec(&regex, text, 0, NULL, 0), 0, "no line like %s in:\n%s", pattern,
	             text);
	regfree(&regex);
}

static void expect_first_line(const struct oom_control *control, const char *expected)
{
	const char *text = written(control, &returned);

	cr_expect(strncmp(text, expected, strlen(expected)) == 0, "should be %s, is:\n%s", expected,
	          text);
}

/* ---- Form ---- */

Test(report, the_first_line)
{
	struct oom_control control = a_control();

	expect_first_line(&control, "a-program invoked oom-reclaim: size=70000, order=5, scope=0, "
	                            "constraint=RLIMIT_AS, policy=return\n");
	control.scope = OOMRECLAIM_SCOPE_NOFAIL;
	control.constraint = CONSTRAINT_UNKNOWN;
	expect_first_line(&control, "a-program invoked oom-reclaim: size=70000, order=5, "
	                            "scope=NOFAIL, constraint=UNKNOWN, policy=return\n");
	control.scope = ~0U;
	expect_first_line(&control,
	                  "a-program invoked oom-reclaim: size=70000, order=5, scope=NORETRY|"
	                  "RETRY_MAYFAIL|NOFAIL|NORECLAIM|RESERVE, constraint=UNKNOWN, "
	                  "policy=return\n");
}

Test(report, orders)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const struct {
		size_t size;
		unsigned order;
	} rows[] = {{0, 0},
	            {1, 0},
	            {page, 0},
	            {page + 1, 1},
	            {2 * page, 1},
	            {2 * page + 1, 2},
	            {8 * page, 3},
	            {8 * page + 1, 4},
	            {1 << 30, (unsigned)(30 - __builtin_ctzl(page))}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct heap_request sized = {.size = rows[i].size};
		struct oom_control control = a_control();
		char line[128];

		control.request = &sized;
		snprintf(line, sizeof line, "a-program invoked oom-reclaim: size=%zu, order=%u, ",
		         rows[i].size, rows[i].order);
		expect_first_line(&control, line);
	}
}

Test(report, the_name_of_the_process_is_made_clean)
{
	const struct oom_control control = a_control();

	fake_proc_write("/proc/self/comm", "a\x1b[2Jb\n");
	expect_first_line(&control, "a?[2Jb invoked oom-reclaim: ");
	fake_proc_remove("/proc/self/comm");
	expect_first_line(&control, "? invoked oom-reclaim: ");
}

Test(report, what_was_tried)
{
	const struct oom_control control = a_control();
	char pattern[128];

	fake_proc_mkdir("/proc/self/task/1");
	fake_proc_mkdir("/proc/self/task/2");
	snprintf(pattern, sizeof pattern,
	         "^  tried: 3 rounds of callbacks, 4K claimed, [0-9]+ ms; pid %d, 2 threads$",
	         getpid());
	expect_match(written(&control, &returned), pattern);
}

static const struct heap_stats stats = {.allocated = 1 << 10,
                                        .active = 2 << 10,
                                        .metadata = 3 << 10,
                                        .resident = 4 << 10,
                                        .mapped = 5 << 10,
                                        .retained = 6 << 10,
                                        .dirty = 7 << 10};

Test(report, the_heap)
{
	const struct oom_control control = a_control();

	expect_match(written(&control, &returned), "^  heap: no statistics$");
	fake_heap_stats = &stats;
	fake_heap_fill_reserve(0);
	expect_match(written(&control, &returned),
	             "^  heap: allocated:1K active:2K dirty:7K metadata:3K resident:4K mapped:5K "
	             "retained:6K charged:0K reserve:64K");
}

Test(report, limits)
{
	const struct oom_control control = a_control();
	const struct rlimit limit = {.rlim_cur = (rlim_t)1 << 60, .rlim_max = RLIM_INFINITY};
	const unsigned page_kib = (unsigned)sysconf(_SC_PAGESIZE) >> 10;
	char pattern[256];

	expect_match(written(&control, &returned), "^  limits: usage unknown$");
	fake_proc_write("/proc/self/statm", "3 2 1 1 0 1 0\n");
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
	snprintf(pattern, sizeof pattern,
	         "^  limits \\(used/limit\\): RLIMIT_AS:%uK/1125899906842624K "
	         "RLIMIT_DATA:%uK/unlimited resident:%uK$",
	         3 * page_kib, page_kib, 2 * page_kib);
	expect_match(written(&control, &returned), pattern);
}

static size_t nothing(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	return 3 << 10;
}

Test(report, callbacks)
{
	const struct oom_control control = a_control();
	const char *text;

	expect_match(written(&control, &returned), "^  callbacks: none registered$");
	oomreclaim_register("low \x1b\n", -7, 0, nothing, NULL, NULL);
	oomreclaim_register("1234567890123456789012345678901", 1000000, 0, nothing, NULL, NULL);
	oomreclaim_reclaim(1 << 12);
	text = written(&control, &returned);
	expect_match(text,
	             "^  \\[ priority \\]    calls   claimed_K  measured_K  longest_us name$");
	expect_match(text, "^  \\[   1000000\\]        1           3           0 +[0-9]+ "
	                   "1234567890123456789012345678901$");
	expect_match(text,
	             "^  \\[        -7\\]        1           3           0 +[0-9]+ low \\?\\?$");
	cr_expect_lt((void *)strstr(text, "1000000]"), (void *)strstr(text, "-7]"),
	             "in the order of calling");
}

Test(report, more_callbacks_than_fit)
{
	const struct oom_control control = a_control();

	for (int i = 0; i < 45; i++)
		oomreclaim_register("1234567890123456789012345678901", i, 0, nothing, NULL, NULL);
	expect_match(written(&control, &returned), "^  \\.\\.\\. and 5 more$");
}

Test(report, the_last_line)
{
	const struct oom_control control = a_control();
	struct report_verdict verdict = {.policy = OOMRECLAIM_POLICY_ABORT};
	char pattern[128];

	snprintf(pattern, sizeof pattern,
	         "^Out of memory: returning NULL to process %d \\(a-program\\)$", getpid());
	expect_match(written(&control, &returned), pattern);
	snprintf(pattern, sizeof pattern, "^Out of memory: aborting process %d \\(a-program\\)$",
	         getpid());
	expect_match(written(&control, &verdict), pattern);
	verdict.reason = "Out of memory and no killable processes";
	snprintf(pattern, sizeof pattern,
	         "^Out of memory and no killable processes: aborting process %d ", getpid());
	expect_match(written(&control, &verdict), pattern);
}

Test(report, a_kill_in_the_kernel_s_form)
{
	const struct proc_pid victim = {.pid = 321,
	                                .uid = 1000,
	                                .total_vm_pages = 5,
	                                .rss_anon_pages = 4,
	                                .rss_file_pages = 3,
	                                .rss_shmem_pages = 2,
	                                .pgtables_bytes = 8192,
	                                .oom_score_adj = -17,
	                                .name = "vic\x1btim"};
	const struct report_verdict verdict = {.policy = OOMRECLAIM_POLICY_KILL,
	                                       .victim = &victim,
	                                       .reason = "By hand"};
	const struct oom_control control = a_control();
	const unsigned page_kib = (unsigned)sysconf(_SC_PAGESIZE) >> 10;
	const char *text = written(&control, &verdict);
	char pattern[256];

	expect_match(text, "^oom-kill:constraint=CONSTRAINT_RLIMIT_AS,task=vic\\?tim,pid=321,"
	                   "uid=1000$");
	snprintf(pattern, sizeof pattern,
	         "^By hand: Killed process 321 \\(vic\\?tim\\) total-vm:%ukB, anon-rss:%ukB, "
	         "file-rss:%ukB, shmem-rss:%ukB, UID:1000 pgtables:8kB oom_score_adj:-17$",
	         5 * page_kib, 4 * page_kib, 3 * page_kib, 2 * page_kib);
	expect_match(text, pattern);
}
