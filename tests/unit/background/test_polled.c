/* SPDX-License-Identifier: BSD-2-Clause */
/* Pressure where the files may be read and not written to: what is looked at, and how often. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "background/pressure.h"
#include "base/base.h"
#include "config/options.h"
#include "support.h"

#define LONGEST_MS 2000

static const char *path;

static void init(void)
{
	support_init();
	unsetenv("MEMORY_PRESSURE_WATCH");
	unsetenv("MEMORY_PRESSURE_WRITE");
	fake_proc_begin();
	fake_clock_freeze();
	umask(022);
}

static void fini(void)
{
	pressure_close();
	cr_assert(getuid() != 0 || seteuid(0) == 0);
	fake_proc_end();
}

TestSuite(polled, .init = init, .fini = fini, .timeout = WATCHDOG_SECONDS);

static const char *full(const char *name)
{
	static char text[1024];

	fake_proc_path(text, sizeof text, name);
	return text;
}

static void make_unwritable(const char *name)
{
	cr_assert_eq(chmod(full(name), 0444), 0);
}

/* As another user: root may write to everything. */
static int open_auto(void)
{
	int error;

	cr_assert_eq(options_apply("test", "pressure:auto", &options, NULL), 0);
	cr_assert_eq(chmod(full(""), 0755), 0);
	cr_assert(geteuid() != 0 || seteuid(65534) == 0);
	pressure_init();
	error = pressure_open(&path);
	cr_assert(getuid() != 0 || seteuid(0) == 0);
	return error;
}

static void expect_look(uint64_t after_ms, enum pressure_news news, int wait_ms)
{
	fake_clock_advance(after_ms * NSEC_PER_MSEC);
	cr_expect_eq(pressure_take(0), news, "after %d ms", (int)after_ms);
	cr_expect_eq(pressure_wait_ms(), wait_ms, "%d ms, not %d", pressure_wait_ms(), wait_ms);
}

/* ---- PSI ---- */

static void set_stall(unsigned total_ms)
{
	char text[256];

	snprintf(text, sizeof text,
	         "some avg10=0.00 avg60=0.00 avg300=0.00 total=%u000\n"
	         "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
	         total_ms);
	fake_proc_write("/proc/pressure/memory", text);
}

static void open_stall(void)
{
	set_stall(70000);
	make_unwritable("/proc/pressure/memory");
	cr_assert_eq(open_auto(), 0);
	cr_expect_str_eq(path, full("/proc/pressure/memory"));
	cr_expect_eq(pressure_means(), STATS_PRESSURE_STALL);
	/* poll() would always return for it. */
	cr_expect_eq(pressure_events(), 0);
	cr_expect_eq(pressure_wait_ms(), LONGEST_MS);
}

Test(polled, stall)
{
	open_stall();
	expect_look(2000, PRESSURE_NONE, LONGEST_MS);
	/* As the trigger: 200 ms. */
	set_stall(70199);
	expect_look(2000, PRESSURE_NONE, 100);
	/* A twentieth of that is older than two seconds by now. */
	set_stall(70209);
	expect_look(100, PRESSURE_NONE, 100);
	set_stall(70220);
	expect_look(0, PRESSURE_FELT, 1000);
	/* Once. */
	expect_look(1000, PRESSURE_NONE, LONGEST_MS);
}

Test(polled, a_stall_that_grows_is_looked_at_more_often)
{
	open_stall();
	/* 150 ms are missing, and 50 came in a second. */
	set_stall(70050);
	expect_look(1000, PRESSURE_NONE, 1500);
	set_stall(70150);
	expect_look(500, PRESSURE_NONE, 125);
	set_stall(70250);
	expect_look(125, PRESSURE_FELT, 1000);
}

Test(polled, a_stall_is_of_two_seconds)
{
	open_stall();
	for (unsigned total_ms = 70050; total_ms < 71000; total_ms += 50) {
		set_stall(total_ms);
		fake_clock_advance(NSEC_PER_SEC);
		cr_expect_eq(pressure_take(0), PRESSURE_NONE);
	}
	/* In which of its looks does not matter. */
	set_stall(71000);
	fake_clock_advance(NSEC_PER_SEC / 2);
	cr_expect_eq(pressure_take(0), PRESSURE_NONE);
	set_stall(71150);
	fake_clock_advance(NSEC_PER_SEC / 2);
	cr_expect_eq(pressure_take(0), PRESSURE_FELT);
}

Test(polled, a_stall_that_is_gone)
{
	open_stall();
	fake_proc_write("/proc/pressure/memory", "");
	fake_clock_advance(NSEC_PER_SEC);
	cr_expect_eq(pressure_take(0), PRESSURE_GONE);
	pressure_close();
	cr_expect_eq(pressure_means(), STATS_PRESSURE_NONE);
	cr_expect_eq(pressure_wait_ms(), -1);
}

Test(polled, what_has_no_total_is_an_error)
{
	fake_proc_write("/proc/pressure/memory", "nothing of the kind\n");
	make_unwritable("/proc/pressure/memory");
	cr_expect_eq(open_auto(), -EACCES);
	cr_expect_eq(pressure_fd(), -1);
}

Test(polled, what_can_be_written_to_tells)
{
	set_stall(1);
	cr_assert_eq(chmod(full("/proc/pressure/memory"), 0666), 0);
	cr_assert_eq(open_auto(), 0);
	cr_expect_eq(pressure_means(), STATS_PRESSURE_EVENT);
	cr_expect_eq(pressure_wait_ms(), -1);
	cr_expect_eq(pressure_events(), POLLPRI);
}

/* ---- A group ---- */

static void set_usage(bool is_v2, unsigned mib, unsigned times)
{
	char text[256];

	snprintf(text, sizeof text, "%llu\n", (unsigned long long)mib << 20);
	fake_proc_write(is_v2 ? "/cg/top/memory.current" : "/cg/top/memory.usage_in_bytes", text);
	if (is_v2)
		snprintf(text, sizeof text,
		         "low 9\nhigh 1\nmax %u\noom 2\noom_kill 7\noom_group_kill 0\n", times);
	else
		snprintf(text, sizeof text, "%u\n", times);
	fake_proc_write(is_v2 ? "/cg/top/memory.events" : "/cg/top/memory.failcnt", text);
}

/* A group of 64 MiB, and this process is in one below it. */
static void open_group(bool is_v2)
{
	fake_proc_write("/proc/self/mountinfo",
	                is_v2 ? "30 24 0:27 / /cg ro - cgroup2 cgroup2 rw\n"
	                      : "32 24 0:29 / /cg ro - cgroup cgroup rw,memory\n");
	fake_proc_write("/proc/self/cgroup", is_v2 ? "0::/top/own\n" : "5:memory:/top/own\n");
	fake_proc_write(is_v2 ? "/cg/top/own/memory.max" : "/cg/top/own/memory.limit_in_bytes",
	                is_v2 ? "max\n" : "9223372036854771712\n");
	fake_proc_write(is_v2 ? "/cg/top/memory.max" : "/cg/top/memory.limit_in_bytes",
	                "67108864\n");
	fake_proc_write("/cg/top/memory.stat", "");
	set_usage(is_v2, 16, 100);
	cr_assert_eq(open_auto(), 0);
	cr_expect_str_eq(path, full(is_v2 ? "/cg/top/memory.events" : "/cg/top/memory.failcnt"));
	cr_expect_eq(pressure_means(), is_v2 ? STATS_PRESSURE_EVENTS : STATS_PRESSURE_USAGE);
	cr_expect_eq(pressure_events(), is_v2 ? POLLPRI : 0);
	cr_expect_eq(pressure_wait_ms(), LONGEST_MS);
}

static void expect_group(bool is_v2)
{
	open_group(is_v2);
	expect_look(2000, PRESSURE_NONE, LONGEST_MS);
	/* 60 MiB is near. 28 are missing, and 16 came in two seconds; then 12, and 16 in one. */
	set_usage(is_v2, 32, 100);
	expect_look(2000, PRESSURE_NONE, 1750);
	set_usage(is_v2, 48, 100);
	expect_look(1000, PRESSURE_NONE, 375);
	set_usage(is_v2, 59, 100);
	expect_look(375, PRESSURE_NONE, 100);
	set_usage(is_v2, 60, 100);
	expect_look(100, PRESSURE_FELT, 1000);
	/* The limit was met: above three quarters that is pressure. */
	set_usage(is_v2, 47, 101);
	expect_look(1000, PRESSURE_NONE, LONGEST_MS);
	set_usage(is_v2, 48, 102);
	expect_look(1000, PRESSURE_FELT, 1000);
	set_usage(is_v2, 48, 102);
	expect_look(1000, PRESSURE_NONE, LONGEST_MS);
}

Test(polled, group)
{
	expect_group(true);
	/* The kernel's own killing is no news of the limit. */
	fake_proc_write("/cg/top/memory.events",
	                "low 10\nhigh 1\nmax 102\noom 2\noom_kill 8\noom_group_kill 1\n");
	expect_look(1000, PRESSURE_NONE, LONGEST_MS);
	fake_proc_write("/cg/top/memory.events",
	                "low 10\nhigh 1\nmax 102\noom 3\noom_kill 8\noom_group_kill 1\n");
	expect_look(1000, PRESSURE_FELT, 1000);
}

Test(polled, group_of_version_1)
{
	expect_group(false);
}

/* The kernel says that it has changed as it says that it is gone. */
Test(polled, an_event_of_a_group)
{
	open_group(true);
	set_usage(true, 50, 101);
	cr_expect_eq(pressure_take(POLLPRI | POLLERR), PRESSURE_FELT);
}

Test(polled, what_the_kernel_would_drop_is_not_used)
{
	open_group(true);
	set_usage(true, 64, 200);
	fake_proc_write("/cg/top/memory.stat", "inactive_file 20971520\nactive_file 1048576\n");
	fake_clock_advance(NSEC_PER_SEC);
	cr_expect_eq(pressure_take(0), PRESSURE_NONE);
}

Test(polled, a_group_that_is_gone)
{
	open_group(true);
	fake_proc_remove("/cg/top/memory.current");
	fake_clock_advance(NSEC_PER_SEC);
	cr_expect_eq(pressure_take(0), PRESSURE_GONE);
}

/* No limit is no pressure: then it is the machine's. */
Test(polled, a_group_without_a_limit)
{
	fake_proc_write("/proc/self/mountinfo", "30 24 0:27 / /cg ro - cgroup2 cgroup2 rw\n");
	fake_proc_write("/proc/self/cgroup", "0::/own\n");
	fake_proc_write("/cg/own/memory.max", "max\n");
	fake_proc_write("/cg/own/memory.current", "1\n");
	fake_proc_write("/cg/own/memory.events", "max 0\n");
	open_stall();
}

/* In a container: the own group's stall rather than how full it is, and rather than the
   machine's. */
Test(polled, the_own_groups_stall_comes_first)
{
	set_stall(5);
	cr_assert_eq(chmod(full("/proc/pressure/memory"), 0666), 0);
	fake_proc_write("/proc/self/mountinfo", "30 24 0:27 / /cg ro - cgroup2 cgroup2 rw\n");
	fake_proc_write("/proc/self/cgroup", "0::/\n");
	fake_proc_write("/cg/memory.max", "67108864\n");
	fake_proc_write("/cg/memory.current", "1\n");
	fake_proc_write("/cg/memory.events", "max 0\n");
	fake_proc_write("/cg/memory.pressure", "some avg10=0.00 total=0\n");
	make_unwritable("/cg/memory.pressure");
	cr_assert_eq(open_auto(), 0);
	cr_expect_str_eq(path, full("/cg/memory.pressure"));
	cr_expect_eq(pressure_means(), STATS_PRESSURE_STALL);
}
