/* SPDX-License-Identifier: BSD-2-Clause */
/* Any process, over a /proc that a test makes up. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "support.h"
#include "system/proc.h"

#define STATUS                                                                            \
	"Name:\tserver\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t100\nNgid:\t0\n"       \
	"Pid:\t100\nPPid:\t7\nUid:\t1000\t0\t0\t0\nVmPeak:\t 9999 kB\nVmSize:\t 640 kB\n" \
	"VmRSS:\t 448 kB\nRssAnon:\t 256 kB\nRssFile:\t 128 kB\nRssShmem:\t 64 kB\n"      \
	"VmPTE:\t 16 kB\nVmSwap:\t 320 kB\nThreads:\t1\n"
#define STAT "100 (server) S 7 55 55 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 424242 1 2 3\n"

static void init(void)
{
	support_init();
	fake_proc_begin();
	fake_proc_write("/proc/100/status", STATUS);
	fake_proc_write("/proc/100/stat", STAT);
	fake_proc_write("/proc/100/oom_score_adj", "-17\n");
}

TestSuite(proc_pid, .init = init, .fini = fake_proc_end, .timeout = WATCHDOG_SECONDS);

/* Reads process 100, and checks that a failure leaves everything alone. */
static int read_it(struct proc_pid *process)
{
	struct proc_pid untouched;
	int error;

	memset(process, 0x55, sizeof *process);
	memcpy(&untouched, process, sizeof untouched);
	errno = ERRNO_UNTOUCHED;
	error = proc_pid_read(100, process);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	if (error != 0)
		cr_expect_arr_eq(process, &untouched, sizeof untouched);
	return error;
}

Test(proc_pid, everything)
{
	const uint64_t page_kib = (uint64_t)sysconf(_SC_PAGESIZE) >> 10;
	struct proc_pid process;

	cr_assert_eq(read_it(&process), 0);
	cr_expect_eq(process.pid, 100);
	cr_expect_eq(process.tgid, 100);
	cr_expect_eq(process.ppid, 7);
	cr_expect_eq(process.pgrp, 55);
	cr_expect_eq(process.uid, 1000, "the real one");
	cr_expect_eq(process.state, 'S');
	cr_expect(process.has_memory);
	cr_expect_eq(process.start_time, 424242);
	cr_expect_eq(process.total_vm_pages, 640 / page_kib);
	cr_expect_eq(process.rss_pages, 448 / page_kib);
	cr_expect_eq(process.rss_anon_pages, 256 / page_kib);
	cr_expect_eq(process.rss_file_pages, 128 / page_kib);
	cr_expect_eq(process.rss_shmem_pages, 64 / page_kib);
	cr_expect_eq(process.swap_pages, 320 / page_kib);
	cr_expect_eq(process.pgtables_bytes, 16 << 10);
	cr_expect_eq(process.oom_score_adj, -17);
	cr_expect_str_eq(process.name, "server");
}

Test(proc_pid, a_kernel_thread_has_no_memory)
{
	struct proc_pid process;

	fake_proc_write("/proc/100/status", "Name:\tkswapd0\nState:\tS\nTgid:\t100\nPPid:\t2\n");
	cr_assert_eq(read_it(&process), 0);
	cr_expect_not(process.has_memory);
	cr_expect_eq(process.rss_pages, 0);
}

Test(proc_pid, a_long_name)
{
	struct proc_pid process;

	fake_proc_write("/proc/100/status", "Name:\t12345678901234567890\nTgid:\t100\n");
	cr_assert_eq(read_it(&process), 0);
	cr_expect_str_eq(process.name, "123456789012345");
}

/* What a program may call itself. */
static const char *const names[] = {"a b", ") R 1 2 3", "(", ")", "a) S 9 9 9 9", ""};

Test(proc_pid, a_name_that_looks_like_more)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct proc_pid process;
		char text[256];

		snprintf(text, sizeof text, "100 (%s)%s", names[i], strchr(STAT, ')') + 1);
		fake_proc_write("/proc/100/stat", text);
		cr_assert_eq(read_it(&process), 0, "\"%s\"", names[i]);
		cr_expect_eq(process.pgrp, 55, "\"%s\"", names[i]);
		cr_expect_eq(process.start_time, 424242, "\"%s\"", names[i]);
	}
}

Test(proc_pid, gone)
{
	const char *const files[] = {"/proc/100/oom_score_adj", "/proc/100/stat",
	                             "/proc/100/status"};
	struct proc_pid process;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		fake_proc_remove(files[i]);
		cr_expect_eq(read_it(&process), -ENOENT, "%s", files[i]);
	}
}

static const struct {
	const char *path;
	const char *text;
} garbage[] = {
	{"/proc/100/status", ""},
	{"/proc/100/status", "garbage\n\n:\n"},
	{"/proc/100/status", "Name:\tx\nTgid:\tgarbage\n"},
	{"/proc/100/status", "Name:\tx\nTgid:\t0\n"},
	{"/proc/100/status", "Name:\tx\nTgidx:\t100\n"},
	{"/proc/100/stat", ""},
	{"/proc/100/stat", "\n"},
	{"/proc/100/stat", "100 server S 7 55\n"},
	{"/proc/100/stat", "100 (server)\n"},
	{"/proc/100/stat", "100 (server) S 7 55 55 0 -1\n"},
	{"/proc/100/stat", "100 (server) S 7 x 55 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 424242 1\n"},
	{"/proc/100/stat", "100 (server) S 7 55 55 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 x 1 2\n"},
	{"/proc/100/oom_score_adj", ""},
	{"/proc/100/oom_score_adj", "\n"},
	{"/proc/100/oom_score_adj", "x\n"},
	{"/proc/100/oom_score_adj", "-\n"},
	{"/proc/100/oom_score_adj", "--5\n"},
	{"/proc/100/oom_score_adj", "5x\n"},
	{"/proc/100/oom_score_adj", "1001\n"},
	{"/proc/100/oom_score_adj", "-1001\n"},
	{"/proc/100/oom_score_adj", "99999999999999999999\n"},
};

Test(proc_pid, what_is_not_understood)
{
	struct proc_pid process;

	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		fake_proc_write("/proc/100/status", STATUS);
		fake_proc_write("/proc/100/stat", STAT);
		fake_proc_write("/proc/100/oom_score_adj", "0\n");
		fake_proc_write(garbage[i].path, garbage[i].text);
		cr_expect_eq(read_it(&process), -EINVAL, "%s: \"%s\"", garbage[i].path,
		             garbage[i].text);
	}
}

/* Lines that nobody is chosen by: what is odd there counts as not there. */
Test(proc_pid, what_is_not_needed)
{
	struct proc_pid process;

	fake_proc_write("/proc/100/status", "Name:\tx\nTgid:\t100\nPPid:\tx\nUid:\tx\n"
	                                    "VmPTE:\t8 kB\nVmRSS:\tx\nVmSwapped:\t4 kB\n");
	fake_proc_write("/proc/100/stat", STAT);
	fake_proc_write("/proc/100/oom_score_adj", "0\n");
	cr_assert_eq(read_it(&process), 0);
	cr_expect(process.has_memory);
	cr_expect_eq(process.rss_pages, 0);
	cr_expect_eq(process.swap_pages, 0);
	fake_proc_write("/proc/100/status", "Name:\tx\nTgid:\t100\nVmPTE:\tx\n");
	cr_assert_eq(read_it(&process), 0);
	cr_expect_not(process.has_memory);
}

Test(proc_pid, the_ends_of_the_range)
{
	struct proc_pid process;

	fake_proc_write("/proc/100/oom_score_adj", "-1000\n");
	cr_assert_eq(read_it(&process), 0);
	cr_expect_eq(process.oom_score_adj, -1000);
	fake_proc_write("/proc/100/oom_score_adj", "1000\n");
	cr_assert_eq(read_it(&process), 0);
	cr_expect_eq(process.oom_score_adj, 1000);
}

Test(proc_pid, itself_in_the_real_one)
{
	struct proc_pid process;

	proc_root = "";
	cr_assert_eq(proc_pid_read(getpid(), &process), 0);
	cr_expect_eq(process.ppid, getppid());
	cr_expect_eq(process.pgrp, getpgrp());
	cr_expect_eq(process.uid, getuid());
	cr_expect(process.has_memory);
	cr_expect_gt(process.rss_pages, 0);
}

/* ---- The table ---- */

static pid_t visited[16];
static unsigned visits;

static bool visit(pid_t pid, void *arg)
{
	visited[visits++] = pid;
	return visits < *(const unsigned *)arg;
}

Test(proc_pid, walk)
{
	unsigned at_most = ARRAY_SIZE(visited);

	fake_proc_mkdir("/proc/7");
	fake_proc_mkdir("/proc/self");
	fake_proc_mkdir("/proc/12ab");
	fake_proc_mkdir("/proc/0");
	fake_proc_mkdir("/proc/2147483648");
	fake_proc_mkdir("/proc/2147483647");
	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(proc_walk(visit, &at_most), 0);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_eq(visits, 3);
	cr_expect_eq((long)visited[0] + visited[1] + visited[2], 100L + 7 + 2147483647);
}

Test(proc_pid, walk_until_false)
{
	unsigned at_most = 1;

	fake_proc_mkdir("/proc/7");
	cr_expect_eq(proc_walk(visit, &at_most), 0);
	cr_expect_eq(visits, 1);
}

Test(proc_pid, walk_of_nothing)
{
	unsigned at_most = 1;

	fake_proc_end();
	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(proc_walk(visit, &at_most), -ENOENT);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_eq(visits, 0);
}

/* ---- Whose numbers they are ---- */

static void write_self(long tgid, const char *more)
{
	char text[128];

	snprintf(text, sizeof text, "Name:\tp\nTgid:\t%ld\nPid:\t%ld\n%s", tgid, tgid, more);
	fake_proc_write("/proc/self/status", text);
}

Test(proc_pid, own_numbers)
{
	char line[64];

	cr_expect_eq(proc_check_numbers(), -ENOENT);
	write_self(getpid(), "");
	cr_expect_eq(proc_check_numbers(), 0, "before Linux 4.1");
	write_self(getpid() + 1, "");
	cr_expect_eq(proc_check_numbers(), -EXDEV);
	snprintf(line, sizeof line, "NStgid:\t%d\nNSpid:\t%d\n", getpid(), getpid());
	write_self(getpid(), line);
	cr_expect_eq(proc_check_numbers(), 0);
	snprintf(line, sizeof line, "NStgid:\t%d\t%d\n", getpid(), getpid());
	write_self(getpid(), line);
	cr_expect_eq(proc_check_numbers(), -EXDEV, "the same by chance");
	fake_proc_write("/proc/self/status", "Name:\tp\nTgid:\tx\nNStgid:\tx\n");
	cr_expect_eq(proc_check_numbers(), -EXDEV);
	write_self(getpid(), "NStgid:\tx\n");
	cr_expect_eq(proc_check_numbers(), -EXDEV);
}
