/* SPDX-License-Identifier: BSD-2-Clause */
/* The form of the report, where it goes, and how often. test_report_when.c has when. */
#include <criterion/criterion.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "add_group.h"
#include "base/base.h"
#include "fake_heap.h"
#include "kill/victim.h"
#include "limits/group.h"
#include "report/report.h"
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
	                            .tried.rounds = 3,
	                            .tried.claimed_bytes = 5000,
	                            .facts.began_ns = now_ns()};
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

Test(report, what_was_tried_by_unknown_threads)
{
	const struct oom_control control = a_control();

	expect_match(written(&control, &returned), "; pid [0-9]+, [?] threads$");
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

/* What opens a file may close one of another thread's. */
Test(report, no_file_is_opened_beside_other_threads)
{
	const struct oom_control control = a_control();
	const struct rlimit limit = {.rlim_cur = (rlim_t)1 << 60, .rlim_max = RLIM_INFINITY};

	fake_proc_mkdir("/proc/self/task/1");
	fake_proc_mkdir("/proc/self/task/2");
	fake_proc_write("/proc/self/statm", "3 2 1 1 0 1 0\n");
	prctl(PR_SET_NAME, "a-thread");
	expect_first_line(&control, "a-thread invoked oom-reclaim: ");
	expect_match(written(&control, &returned),
	             "^  limits: RLIMIT_AS and RLIMIT_DATA unlimited$");
	cr_assert_eq(setrlimit(RLIMIT_DATA, &limit), 0);
	expect_match(written(&control, &returned), "^  limits \\(used/limit\\): RLIMIT_AS:");
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

static size_t count_kib(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	return 8 << 10;
}

Test(report, a_shrinker_that_claims_and_measures_nothing)
{
	const struct oom_control control = a_control();
	const struct oomreclaim_shrinker shrinker = {.name = "liar",
	                                             .count = count_kib,
	                                             .scan = nothing,
	                                             .cost = 1};

	cr_assert_eq(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, NULL), 0);
	expect_match(written(&control, &returned), " liar$");
	oomreclaim_reclaim(1 << 10);
	oomreclaim_reclaim(1 << 10);
	expect_match(written(&control, &returned),
	             "^  \\[         0\\]        2           6           0 +[0-9]+ "
	             "liar \\(claims and measures nothing: asked for 1/4\\)$");
}

Test(report, more_callbacks_than_fit)
{
	const struct oom_control control = a_control();

	for (int i = 0; i < 45; i++)
		oomreclaim_register("1234567890123456789012345678901", i, 0, nothing, NULL, NULL);
	expect_match(written(&control, &returned), "^  \\.\\.\\. and 5 more$");
}

Test(report, groups)
{
	struct oom_control control = a_control();
	unsigned outer, inner;
	const char *text;

	cr_expect_null(strstr(written(&control, &returned), "group"));
	outer = add_charged_group("outer", 0, 1 << 10);
	inner = add_charged_group("in\x1bner", outer, 8 << 10);
	add_charged_group("other", 0, 2 << 10);
	group_set_max(inner, 9 << 10);
	text = written(&control, &returned);
	expect_match(text, "^  Memory group stats for /:$");
	expect_match(text, "^  \\[ charged_K      own_K allocated_K     peak_K      max_K  max_met "
	                   "threads \\] name$");
	expect_match(text, "^  \\[         9          1           0          9       none        0 "
	                   "      0 \\] outer$");
	expect_match(text, "^  \\[         8          8           1          8          9        0 "
	                   "      0 \\]   in\\?ner$");
	expect_match(text, "\\] other$");
	/* That one's limit: what is in it alone. */
	control.group = outer;
	control.constraint = CONSTRAINT_GROUP;
	text = written(&control, &returned);
	expect_match(text, ", constraint=GROUP, group=outer, policy=");
	expect_match(text, "^  Memory group stats for /outer:$");
	expect_match(text, "\\]   in\\?ner$");
	cr_expect_null(strstr(text, "other"));
	control.group = inner;
	expect_match(written(&control, &returned), "^  Memory group stats for /outer/in\\?ner:$");
	for (int i = 0; i < 30; i++)
		add_charged_group("more", 0, 0);
	control.group = 0;
	expect_match(written(&control, &returned), "^  \\.\\.\\. and 13 more groups$");
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

	expect_match(text,
	             "^oom-kill:constraint=CONSTRAINT_RLIMIT_AS,nodemask=\\(null\\),cpuset=\\?,"
	             "mems_allowed=\\?,global_oom,task=vic\\?tim,pid=321,uid=1000$");
	snprintf(pattern, sizeof pattern,
	         "^By hand: Killed process 321 \\(vic\\?tim\\) total-vm:%ukB, anon-rss:%ukB, "
	         "file-rss:%ukB, shmem-rss:%ukB, UID:1000 pgtables:8kB oom_score_adj:-17$",
	         5 * page_kib, 4 * page_kib, 3 * page_kib, 2 * page_kib);
	expect_match(text, pattern);
}

/* ---- As a whole ---- */

enum { SELF = 1 << 30, FIRST };

static void add_process(int pid, const char *name, unsigned rss_kib, int adj)
{
	char path[64], text[512];

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	snprintf(text, sizeof text,
	         "Name:\t%s\nState:\tS\nTgid:\t%d\nPPid:\t%d\nUid:\t1000\nVmSize:\t%u kB\n"
	         "VmRSS:\t%u kB\nRssAnon:\t%u kB\nRssFile:\t64 kB\nRssShmem:\t0 kB\n"
	         "VmPTE:\t64 kB\nVmSwap:\t128 kB\n",
	         name, pid, SELF, 2 * rss_kib, rss_kib, rss_kib - 64);
	fake_proc_write(path, text);
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	snprintf(text, sizeof text, "%d (p) S %d 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 77 0\n", pid,
	         SELF);
	fake_proc_write(path, text);
	snprintf(path, sizeof path, "/proc/%d/oom_score_adj", pid);
	snprintf(text, sizeof text, "%d\n", adj);
	fake_proc_write(path, text);
	snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
	fake_proc_write(path, "0::/own/below\n");
}

static const char *a_kill(void)
{
	static const struct proc_cgroup own = {.is_v2 = true, .mount = "/cg", .path = "/own"};
	static const struct proc_cgroup below = {.is_v2 = true,
	                                         .mount = "/cg",
	                                         .path = "/own/below"};
	const struct victim_domain domain = {.target = KILL_CHILDREN,
	                                     .self = SELF,
	                                     .total_pages = 1000000};
	struct oom_control control = a_control();
	struct proc_pid victim;
	struct report_verdict verdict = {.policy = OOMRECLAIM_POLICY_KILL,
	                                 .victim = &victim,
	                                 .full_group = &own,
	                                 .group = &below};

	fake_clock_freeze();
	control.facts.began_ns = now_ns() - 7 * NSEC_PER_MSEC;
	control.constraint = CONSTRAINT_CGROUP;
	fake_heap_stats = &stats;
	fake_proc_mkdir("/proc/self/task/1");
	fake_proc_write("/proc/self/statm", "300 200 1 1 0 100 0\n");
	fake_proc_write("/proc/self/cpuset", "/set\n");
	fake_proc_write("/proc/self/status", "Name:\tx\nMems_allowed_list:\t0-1\n");
	fake_proc_write("/proc/self/mountinfo", "29 1 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
	fake_proc_write("/proc/self/cgroup", "0::/own\n");
	oomreclaim_register("cache", 5, 0, nothing, NULL, NULL);
	add_process(FIRST, "big (worker) one", 8192, 300);
	victim_select(&domain, &victim);
	verdict.tasks = victim_candidates(&verdict.task_count);
	cr_assert_eq(verdict.task_count, 1);
	return written(&control, &verdict);
}

Test(report, as_a_whole)
{
	char expected[4096];

	if (sysconf(_SC_PAGESIZE) != 4096)
		cr_skip("the figures are for pages of 4 KiB");
	snprintf(expected, sizeof expected,
	         "a-program invoked oom-reclaim: size=70000, order=5, scope=0, constraint=CGROUP, "
	         "policy=kill\n"
	         "  tried: 3 rounds of callbacks, 4K claimed, 7 ms; pid %d, 1 threads\n"
	         "  heap: allocated:1K active:2K dirty:7K metadata:3K resident:4K mapped:5K "
	         "retained:6K charged:0K reserve:0K\n"
	         "  limits (used/limit): RLIMIT_AS:1200K/unlimited RLIMIT_DATA:400K/unlimited "
	         "resident:800K\n"
	         "  callbacks:\n"
	         "  [ priority ]    calls   claimed_K  measured_K  longest_us name\n"
	         "  [         5]        0           0           0           0 cache\n"
	         "Tasks state (memory values in pages):\n"
	         "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj "
	         "name\n"
	         "[1073741825]  1000 1073741825     4096     2048    65536       32           300 "
	         "big (worker) on\n"
	         "oom-kill:constraint=CONSTRAINT_CGROUP,nodemask=(null),cpuset=/set,"
	         "mems_allowed=0-1,oom_memcg=/own,task_memcg=/own/below,task=big (worker) on,"
	         "pid=1073741825,uid=1000\n"
	         "Out of memory: Killed process 1073741825 (big (worker) on) total-vm:16384kB, "
	         "anon-rss:8128kB, file-rss:64kB, shmem-rss:0kB, UID:1000 pgtables:64kB "
	         "oom_score_adj:300\n"
	         "Tasks in /own/below are going to be killed due to memory.oom.group set\n",
	         getpid());
	cr_expect_str_eq(a_kill(), expected);
}

/* What mm/oom_kill.c's and mm/memcontrol.c's printk() write, field by field: a reader of the
   kernel's log finds the same in ours. */
static const char *const kernel_lines[] = {
	"^Tasks state \\(memory values in pages\\):$",
	"^\\[  pid  \\] +uid +tgid +total_vm +rss +pgtables_bytes +swapents +oom_score_adj +name$",
	"^\\[ *[0-9]+\\] +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +-?[0-9]+ .+$",
	"^oom-kill:constraint=CONSTRAINT_.*,nodemask=.*,cpuset=.*,mems_allowed=.*,oom_memcg=.*,"
	"task_memcg=.*,task=.*,pid=.*,uid=.*$",
	"^Out of memory: Killed process [0-9]+ \\(.+\\) total-vm:[0-9]+kB, anon-rss:[0-9]+kB, "
	"file-rss:[0-9]+kB, shmem-rss:[0-9]+kB, UID:[0-9]+ pgtables:[0-9]+kB oom_score_adj:-?[0-9]+$",
	"^Tasks in .+ are going to be killed due to memory\\.oom\\.group set$",
};

Test(report, lines_that_readers_of_the_kernel_s_log_know)
{
	const char *text = a_kill();

	for (size_t i = 0; i < ARRAY_SIZE(kernel_lines); i++)
		expect_match(text, kernel_lines[i]);
}

Test(report, why_nothing_is_killed)
{
	const struct oom_control control = a_control();
	struct report_verdict verdict = returned;

	verdict.refusal = "a reason";
	oomreclaim_set_policy(OOMRECLAIM_POLICY_KILL);
	expect_match(written(&control, &verdict), "^  policy kill not allowed: a reason$");
}
