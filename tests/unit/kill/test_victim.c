/* SPDX-License-Identifier: BSD-2-Clause */
/* Rung 14: who is chosen, over a /proc that a test makes up. Nobody there is real. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "config/options.h"
#include "kill/victim.h"
#include "support.h"

/* Pids that no process has. */
enum { SELF = 1 << 30, FIRST };

static struct victim_domain domain = {.target = KILL_CHILDREN,
                                      .self = SELF,
                                      .pgrp = SELF,
                                      .total_pages = 1000000};

static void init(void)
{
	support_init();
	fake_proc_begin();
	fake_proc_mkdir("/proc/irq");
}

TestSuite(victim, .init = init, .fini = fake_proc_end, .timeout = WATCHDOG_SECONDS);

/* ---- Badness ---- */

#define SWAPPING .rss_pages = 100, .swap_pages = 20

static const struct {
	const char *name;
	struct proc_pid process;
	long points;
} rows[] = {
	{"resident", {.has_memory = true, .rss_pages = 100}, 100},
	{"and swap", {.has_memory = true, SWAPPING}, 120},
	{"less", {.has_memory = true, SWAPPING, .oom_score_adj = -1}, 120 - 1000},
	{"more", {.has_memory = true, SWAPPING, .oom_score_adj = 1000}, 120 + 1000000},
	{"nearly never", {.has_memory = true, SWAPPING, .oom_score_adj = -999}, 120 - 999000},
	{"never", {.has_memory = true, SWAPPING, .oom_score_adj = -1000}, VICTIM_NEVER},
	{"no memory", {.has_memory = false, .oom_score_adj = 1000}, VICTIM_NEVER},
};

Test(victim, badness)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		cr_expect_eq(oom_badness(&rows[i].process, 1000000), rows[i].points, "%s",
		             rows[i].name);
}

Test(victim, badness_of_page_tables)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const struct proc_pid process = {.has_memory = true,
	                                 .rss_pages = 1,
	                                 .pgtables_bytes = 7 * page};

	cr_expect_eq(oom_badness(&process, 0), 8);
}

/* ---- Selection ---- */

struct fake_process {
	int pid, ppid, pgrp, adj;
	unsigned rss_kib;
};

static void add(struct fake_process process)
{
	char path[64], text[256];

	snprintf(path, sizeof path, "/proc/%d/status", process.pid);
	snprintf(
		text, sizeof text,
		"Name:\tp\nState:\tS\nTgid:\t%d\nPPid:\t%d\nUid:\t0\nVmRSS:\t%u kB\nVmPTE:\t0 kB\n",
		process.pid, process.ppid, process.rss_kib);
	fake_proc_write(path, text);
	snprintf(path, sizeof path, "/proc/%d/stat", process.pid);
	snprintf(text, sizeof text, "%d (p) S %d %d 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 77 0\n",
	         process.pid, process.ppid, process.pgrp);
	fake_proc_write(path, text);
	snprintf(path, sizeof path, "/proc/%d/oom_score_adj", process.pid);
	snprintf(text, sizeof text, "%d\n", process.adj);
	fake_proc_write(path, text);
}

static void remove_file(int pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	fake_proc_remove(path);
}

/* The pid that is chosen, 0 for nobody. */
static int chosen(void)
{
	struct proc_pid process;

	int error = victim_select(&domain, &process);

	cr_expect(error == 0 || error == -ESRCH);
	return error == 0 ? process.pid : 0;
}

Test(victim, nobody)
{
	cr_expect_eq(chosen(), 0);
	add((struct fake_process){.pid = SELF, .ppid = 1, .pgrp = SELF, .rss_kib = 9000});
	cr_expect_eq(chosen(), 0, "itself is no child of its own");
}

Test(victim, the_largest_child)
{
	add((struct fake_process){.pid = FIRST, .ppid = SELF, .rss_kib = 4000});
	add((struct fake_process){.pid = FIRST + 1, .ppid = SELF, .rss_kib = 8000});
	add((struct fake_process){.pid = FIRST + 2, .ppid = SELF, .rss_kib = 6000});
	add((struct fake_process){.pid = FIRST + 3, .ppid = 7, .rss_kib = 900000});
	cr_expect_eq(chosen(), FIRST + 1);
}

Test(victim, of_equals_the_last)
{
	unsigned count;

	add((struct fake_process){.pid = FIRST, .ppid = SELF, .rss_kib = 8000});
	add((struct fake_process){.pid = FIRST + 1, .ppid = SELF, .rss_kib = 8000});
	cr_assert_neq(chosen(), 0);
	cr_expect_eq(chosen(), victim_candidates(&count)[1].pid);
	cr_expect_eq(count, 2);
}

Test(victim, oom_score_adj_moves_it)
{
	add((struct fake_process){.pid = FIRST, .ppid = SELF, .rss_kib = 800000, .adj = -500});
	add((struct fake_process){.pid = FIRST + 1, .ppid = SELF, .rss_kib = 4});
	cr_expect_eq(chosen(), FIRST + 1);
}

Test(victim, minus_1000_is_never_chosen)
{
	add((struct fake_process){.pid = FIRST, .ppid = SELF, .rss_kib = 800000, .adj = -1000});
	cr_expect_eq(chosen(), 0);
}

Test(victim, negative_points_are_better_than_nobody)
{
	add((struct fake_process){.pid = FIRST, .ppid = SELF, .rss_kib = 4, .adj = -999});
	cr_expect_eq(chosen(), FIRST);
}

Test(victim, init_is_never_chosen)
{
	domain.self = SELF;
	add((struct fake_process){.pid = 1, .ppid = SELF, .pgrp = SELF, .rss_kib = 4000});
	cr_expect_eq(chosen(), 0);
}

Test(victim, those_that_vanish_or_cannot_be_read_are_skipped)
{
	const char *const files[] = {"status", "stat", "oom_score_adj"};

	for (int i = 0; i < (int)ARRAY_SIZE(files); i++) {
		add((struct fake_process){.pid = FIRST + i, .ppid = SELF, .rss_kib = 8000});
		remove_file(FIRST + i, files[i]);
	}
	add((struct fake_process){.pid = FIRST + 8, .ppid = SELF, .rss_kib = 4});
	cr_expect_eq(chosen(), FIRST + 8);
}

/* find_lock_task_mm() */
Test(victim, a_process_whose_main_thread_has_ended)
{
	char path[64];

	add((struct fake_process){.pid = FIRST, .ppid = SELF, .rss_kib = 4000});
	add((struct fake_process){.pid = FIRST + 1, .ppid = SELF, .rss_kib = 8000});
	snprintf(path, sizeof path, "/proc/%d/status", FIRST + 1);
	fake_proc_write(path, "Name:\tmain\nState:\tZ\nTgid:\t1073741826\nPPid:\t1073741824\n");
	cr_expect_eq(chosen(), FIRST, "it has no memory");
	snprintf(path, sizeof path, "/proc/%d/task/77/status", FIRST + 1);
	fake_proc_write(path, "Name:\tthread\nState:\tS\nTgid:\t1073741826\nPPid:\t1073741824\n"
	                      "VmRSS:\t8000 kB\nVmPTE:\t0 kB\n");
	cr_expect_eq(chosen(), FIRST + 1, "a thread of it has");
}

Test(victim, what_is_not_understood_is_a_line_in_verbose)
{
	struct capture capture;
	char line[128];

	add((struct fake_process){.pid = FIRST, .ppid = SELF, .rss_kib = 4, .adj = 4711});
	capture_begin(&capture);
	cr_expect_eq(chosen(), 0);
	cr_expect_str_eq(capture_next(&capture), "");
	options.is_verbose = true;
	cr_expect_eq(chosen(), 0);
	snprintf(line, sizeof line, "oomreclaim: process %d: /proc: something unknown, skipped\n",
	         FIRST);
	cr_expect_str_eq(capture_next(&capture), line);
	capture_end(&capture);
}

Test(victim, process_group)
{
	domain.target = KILL_PGROUP;
	add((struct fake_process){.pid = FIRST, .ppid = 7, .pgrp = SELF, .rss_kib = 8000});
	add((struct fake_process){.pid = FIRST + 1, .ppid = SELF, .pgrp = 9, .rss_kib = 9000});
	add((struct fake_process){.pid = SELF, .ppid = 7, .pgrp = SELF, .rss_kib = 4});
	cr_expect_eq(chosen(), FIRST);
	add((struct fake_process){.pid = SELF, .ppid = 7, .pgrp = SELF, .rss_kib = 9000});
	cr_expect_eq(chosen(), SELF, "itself is one of them");
}

Test(victim, cgroup)
{
	domain.target = KILL_CGROUP;
	domain.has_group = true;
	domain.group = (struct proc_cgroup){.is_v2 = true, .mount = "/cg", .path = "/own"};
	add((struct fake_process){.pid = FIRST, .ppid = 7, .rss_kib = 4});
	add((struct fake_process){.pid = FIRST + 1, .ppid = SELF, .rss_kib = 9000});
	fake_proc_write("/proc/1073741825/cgroup", "0::/own/below\n");
	fake_proc_write("/proc/1073741826/cgroup", "0::/elsewhere\n");
	cr_expect_eq(chosen(), FIRST);
}

Test(victim, candidates_of_the_report)
{
	unsigned count;

	add((struct fake_process){.pid = FIRST, .ppid = SELF, .rss_kib = 4, .adj = -1000});
	add((struct fake_process){.pid = FIRST + 1, .ppid = SELF, .rss_kib = 8});
	add((struct fake_process){.pid = FIRST + 2, .ppid = 7, .rss_kib = 8});
	chosen();
	cr_assert_not_null(victim_candidates(&count));
	cr_expect_eq(count, 2);
}

Test(victim, more_candidates_than_fit)
{
	unsigned count;

	for (int i = 0; i < VICTIM_TABLE + 3; i++)
		add((struct fake_process){.pid = FIRST + i, .ppid = SELF, .rss_kib = 4});
	add((struct fake_process){.pid = FIRST + 99, .ppid = SELF, .rss_kib = 8000});
	cr_expect_eq(chosen(), FIRST + 99, "the table is for the report alone");
	cr_assert_not_null(victim_candidates(&count));
	cr_expect_eq(count, VICTIM_TABLE);
}

/* Not the same as nobody. */
Test(victim, no_proc)
{
	struct proc_pid process;

	fake_proc_end();
	cr_expect_eq(victim_select(&domain, &process), -ENOENT);
	domain.proc_error = -EXDEV;
	fake_proc_begin();
	add((struct fake_process){.pid = FIRST, .ppid = SELF, .rss_kib = 4});
	cr_expect_eq(victim_select(&domain, &process), -EXDEV);
}

/* The start time tells a process from the one that had its number before. */
Test(victim, who_was_tried_in_vain_is_not_chosen_again)
{
	add((struct fake_process){.pid = FIRST, .ppid = SELF, .rss_kib = 4});
	add((struct fake_process){.pid = FIRST + 1, .ppid = SELF, .rss_kib = 8000});
	victim_skip(FIRST + 1, 76);
	cr_expect_eq(chosen(), FIRST + 1, "another with its number");
	victim_skip(FIRST + 1, 77);
	cr_expect_eq(chosen(), FIRST);
}

/* ---- The domain ---- */

Test(victim, scope_of_the_settings)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	fake_proc_write("/proc/meminfo", "MemTotal: 400000 kB\nSwapTotal: 100000 kB\n");
	options.kill_target = KILL_PGROUP;
	victim_domain_find(&domain, false);
	cr_expect_eq(domain.target, KILL_PGROUP);
	cr_expect_eq(domain.self, getpid());
	cr_expect_eq(domain.pgrp, getpgrp());
	cr_expect_eq(domain.total_pages, 500000 * 1024 / page);
}

Test(victim, scope_of_the_nearest_group_with_a_limit)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	fake_proc_write("/proc/self/mountinfo", "29 1 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
	fake_proc_write("/proc/self/cgroup", "0::/upper/own\n");
	fake_proc_write("/proc/meminfo", "MemTotal: 400000 kB\nSwapTotal: 0 kB\n");
	options.kill_target = KILL_CGROUP;
	victim_domain_find(&domain, false);
	cr_expect_eq(domain.target, KILL_CGROUP);
	cr_expect_str_eq(domain.group.path, "/upper/own", "no limit anywhere");
	fake_proc_write("/cg/upper/memory.max", "65536000\n");
	victim_domain_find(&domain, false);
	cr_expect_str_eq(domain.group.path, "/upper");
	cr_expect_eq(domain.total_pages, 65536000 / page);
	fake_proc_write("/proc/self/cgroup", "0::/\n");
	victim_domain_find(&domain, false);
	cr_expect_eq(domain.target, KILL_SELF, "the root group is everybody");
	/* The machine's own can't have one. */
	fake_proc_write("/cg/memory.max", "40960000\n");
	victim_domain_find(&domain, false);
	cr_expect_eq(domain.target, KILL_CGROUP, "a container's root group is the container");
	cr_expect_str_eq(domain.group.path, "");
	cr_expect_eq(domain.total_pages, 40960000 / page);
}

/* The group's limit is what oom_score_adj is a part of, where that is what stands in the way. */
Test(victim, scope_of_a_group_that_is_full)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	fake_proc_write("/proc/self/mountinfo", "29 1 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
	fake_proc_write("/proc/self/cgroup", "0::/own\n");
	fake_proc_write("/proc/meminfo", "MemTotal: 400000 kB\nSwapTotal: 0 kB\n");
	fake_proc_write("/cg/own/memory.max", "65536000\n");
	options.kill_target = KILL_CHILDREN;
	victim_domain_find(&domain, true);
	cr_expect_eq(domain.target, KILL_CHILDREN);
	cr_expect_eq(domain.total_pages, 65536000 / page);
	victim_domain_find(&domain, false);
	cr_expect_eq(domain.total_pages, 400000 * 1024 / page);
}

/* Without a number for the whole, oom_score_adj moves nobody; and without a group there is only
   this process. */
Test(victim, scope_where_nothing_can_be_read)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	options.kill_target = KILL_CGROUP;
	victim_domain_find(&domain, false);
	cr_expect_eq(domain.target, KILL_SELF);
	cr_expect_eq(domain.total_pages, 0);
	fake_proc_write("/proc/meminfo", "MemTotal: 400000 kB\n");
	victim_domain_find(&domain, false);
	cr_expect_eq(domain.total_pages, 400000 * 1024 / page);
	/* A group's limit above all there is, or all there is to know. */
	fake_proc_write("/proc/self/mountinfo", "29 1 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
	fake_proc_write("/proc/self/cgroup", "0::/own\n");
	fake_proc_write("/cg/own/memory.max", "655360000\n");
	victim_domain_find(&domain, false);
	cr_expect_eq(domain.target, KILL_CGROUP);
	cr_expect_eq(domain.total_pages, 400000 * 1024 / page);
	fake_proc_remove("/proc/meminfo");
	victim_domain_find(&domain, false);
	cr_expect_eq(domain.total_pages, 655360000 / page);
}
