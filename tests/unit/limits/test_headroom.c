/* SPDX-License-Identifier: BSD-2-Clause */
/* What the limits leave, over files that a test makes up. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "budget_set.h"
#include "limits/budget.h"
#include "limits/headroom.h"
#include "support.h"

#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)
#define PAGE ((size_t)4096)

/* As many pages of address space, and of data; half of the latter resident. */
static void write_statm(size_t total_bytes, size_t data_bytes)
{
	char text[128];

	snprintf(text, sizeof text, "%zu %zu 0 1 0 %zu 0\n", total_bytes / PAGE,
	         data_bytes / 2 / PAGE, data_bytes / PAGE);
	fake_proc_write("/proc/self/statm", text);
}

static void write_bytes(const char *path, size_t bytes)
{
	char text[32];

	snprintf(text, sizeof text, "%zu\n", bytes);
	fake_proc_write(path, text);
}

static void init(void)
{
	support_init();
	fake_clock_freeze();
	fake_proc_begin();
	budget_set("limit:off");
}

TestSuite(headroom, .init = init, .fini = fake_proc_end, .timeout = WATCHDOG_SECONDS);

/* Far above what this process has, so that it is felt by nobody. */
static void limit(__rlimit_resource_t resource, size_t bytes)
{
	struct rlimit now;

	cr_assert_eq(getrlimit(resource, &now), 0);
	now.rlim_cur = bytes;
	cr_assert_eq(setrlimit(resource, &now), 0);
}

static void expect(size_t bytes, const char *constraint)
{
	struct headroom nearest;

	headroom_nearest(&nearest, true);
	cr_expect_str_eq(nearest.constraint, constraint);
	cr_expect_eq(headroom_below(&nearest, 0), bytes, "%zu, not %zu",
	             headroom_below(&nearest, 0), bytes);
}

static size_t headroom_ceiling(void)
{
	struct headroom nearest;

	headroom_nearest(&nearest, true);
	return nearest.ceiling;
}

static void refresh(void)
{
	errno = ERRNO_UNTOUCHED;
	headroom_refresh();
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
}

Test(headroom, without_a_limit_there_is_no_end)
{
	expect(SIZE_MAX, "NONE");
	refresh();
	expect(SIZE_MAX, "NONE");
	cr_assert(budget_take(GIB));
	expect(SIZE_MAX, "NONE");
}

Test(headroom, the_budget_and_what_is_free)
{
	struct headroom nearest;

	budget_set("limit:64M");
	cr_assert(budget_take(16 * MIB));
	expect(48 * MIB, "BUDGET");
	headroom_nearest(&nearest, true);
	cr_expect_eq(headroom_below(&nearest, 4 * MIB), 52 * MIB);
	cr_expect_eq(headroom_below(&nearest, SIZE_MAX), SIZE_MAX - 16 * MIB);
	budget_set_limit(8 * MIB);
	expect(0, "BUDGET");
	headroom_nearest(&nearest, true);
	cr_expect_eq(headroom_below(&nearest, 7 * MIB), 0);
	cr_expect_eq(headroom_below(&nearest, 9 * MIB), MIB);
}

Test(headroom, the_watermark_is_nearer)
{
	struct headroom nearest;

	budget_set("limit:64M,high:32M");
	expect(32 * MIB, "HIGH");
	headroom_nearest(&nearest, false);
	cr_expect_str_eq(nearest.constraint, "BUDGET");
	cr_expect_eq(nearest.ceiling, 64 * MIB);
}

/* ---- rlimits ---- */

/* More than a sanitizer has mapped, so that it is felt by nobody. */
#define FAR ((size_t)1 << 50)

Test(headroom, addresses_that_others_have_mapped_are_gone)
{
	limit(RLIMIT_AS, 100 * FAR);
	headroom_mapped(12 * FAR);
	headroom_unmapped(2 * FAR);
	write_statm(30 * FAR, 0);
	refresh();
	/* 20 GiB are not the heap's. What it has mapped and not charged, it can use again. */
	cr_assert(budget_take(FAR));
	expect(79 * FAR, "RLIMIT_AS");
	headroom_mapped(5 * FAR);
	cr_assert(budget_take(5 * FAR));
	expect(74 * FAR, "RLIMIT_AS");
	write_statm(45 * FAR, 0);
	expect(74 * FAR, "RLIMIT_AS");
	refresh();
	expect(64 * FAR, "RLIMIT_AS");
}

Test(headroom, data_is_nearer_than_addresses)
{
	limit(RLIMIT_AS, 100 * FAR);
	limit(RLIMIT_DATA, 50 * FAR);
	write_statm(20 * FAR, 10 * FAR);
	refresh();
	expect(40 * FAR, "RLIMIT_DATA");
	limit(RLIMIT_DATA, RLIM_INFINITY);
	refresh();
	expect(80 * FAR, "RLIMIT_AS");
	limit(RLIMIT_AS, RLIM_INFINITY);
	refresh();
	expect(SIZE_MAX, "NONE");
}

Test(headroom, more_is_used_than_the_limit_allows)
{
	limit(RLIMIT_AS, 100 * FAR);
	write_statm(101 * FAR, 0);
	refresh();
	expect(0, "RLIMIT_AS");
}

Test(headroom, what_cannot_be_read_stays_as_it_was)
{
	limit(RLIMIT_AS, 100 * FAR);
	refresh();
	expect(100 * FAR, "RLIMIT_AS");
	write_statm(60 * FAR, 0);
	refresh();
	expect(40 * FAR, "RLIMIT_AS");
	fake_proc_remove("/proc/self/statm");
	refresh();
	expect(40 * FAR, "RLIMIT_AS");
	limit(RLIMIT_AS, 30 * FAR);
	refresh();
	expect(30 * FAR, "RLIMIT_AS");
}

static void refresh_in_child(void)
{
	fake_proc_remove("/proc/self/statm");
	write_statm(60 * FAR, 0);
	headroom_refresh();
	if (headroom_ceiling() != 40 * FAR)
		_exit(1);
}

static char pipe_path[1024];

/* Returns when the thread is in the middle of a reading. */
static void begin_reading(struct thread *thread)
{
	limit(RLIMIT_AS, 100 * FAR);
	fake_proc_mkdir("/proc/self");
	fake_proc_path(pipe_path, sizeof pipe_path, "/proc/self/statm");
	cr_assert_eq(mkfifo(pipe_path, 0600), 0);
	thread_start(thread, headroom_refresh);
	thread_wait_asleep(thread);
}

Test(headroom, a_child_does_not_wait_for_a_reading_of_its_parents)
{
	struct thread thread;
	int status, fd;

	begin_reading(&thread);
	/* Others go on with the last reading. */
	refresh();
	expect(SIZE_MAX, "NONE");
	fd = open(pipe_path, O_RDWR | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	status = run_child(refresh_in_child);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%#x", (unsigned)status);
	cr_assert_eq(write(fd, "1 1 1 1 0 1 0\n", 14), 14);
	close(fd);
	thread_join(&thread);
}

static atomic_size_t known;

static void know(void)
{
	headroom_know();
	known = headroom_ceiling();
}

static void end_reading(struct thread *thread)
{
	int fd = open(pipe_path, O_RDWR | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, "1 1 1 1 0 1 0\n", 14), 14);
	close(fd);
	thread_join(thread);
}

Test(headroom, the_first_reading_is_waited_for)
{
	struct thread reader, waiter;

	begin_reading(&reader);
	thread_start(&waiter, know);
	thread_wait_asleep(&waiter);
	end_reading(&reader);
	thread_join(&waiter);
	cr_expect_eq(known, 100 * FAR - PAGE);
}

/* By a clock that stands, and then has moved. */
Test(headroom, but_not_for_ever)
{
	struct thread reader, waiter;

	begin_reading(&reader);
	thread_start(&waiter, know);
	thread_wait_asleep(&waiter);
	cr_expect_not(waiter.has_ended);
	fake_clock_advance(NSEC_PER_SEC);
	thread_join(&waiter);
	cr_expect_eq(known, SIZE_MAX);
	end_reading(&reader);
}

static void know_in_child(void)
{
	write_statm(60 * FAR, 0);
	headroom_know();
	if (headroom_ceiling() != 40 * FAR)
		_exit(1);
}

Test(headroom, a_child_has_a_first_reading_of_its_own)
{
	limit(RLIMIT_AS, 100 * FAR);
	write_statm(50 * FAR, 0);
	headroom_know();
	expect(50 * FAR, "RLIMIT_AS");
	write_statm(70 * FAR, 0);
	headroom_know();
	expect(50 * FAR, "RLIMIT_AS");
	cr_expect_eq(run_child(know_in_child), 0);
}

/* ---- The cgroup ---- */

Test(headroom, version_2_and_the_nearest_of_the_ancestors)
{
	fake_proc_write("/proc/self/mountinfo", "30 24 0:27 / /cg rw - cgroup2 cgroup2 rw\n");
	fake_proc_write("/proc/self/cgroup", "0::/upper/own\n");
	write_bytes("/cg/upper/own/memory.max", 100 * MIB);
	write_bytes("/cg/upper/own/memory.current", 30 * MIB);
	write_bytes("/cg/upper/memory.max", 300 * MIB);
	write_bytes("/cg/upper/memory.current", 250 * MIB);
	write_statm(0, 20 * MIB);
	cr_assert(budget_take(10 * MIB));
	refresh();
	/* The heap's are 10 MiB of what is in use in both. */
	expect(50 * MIB, "CGROUP");
	write_bytes("/cg/upper/memory.current", 260 * MIB);
	refresh();
	expect(40 * MIB, "CGROUP");
	cr_assert(budget_take(10 * MIB));
	expect(30 * MIB, "CGROUP");
	fake_proc_write("/cg/upper/memory.max", "max\n");
	fake_proc_write("/cg/upper/own/memory.max", "max\n");
	refresh();
	expect(SIZE_MAX, "NONE");
}

Test(headroom, version_1)
{
	fake_proc_write("/proc/self/mountinfo",
	                "40 24 0:30 / /cg/memory rw - cgroup cgroup rw,memory\n");
	fake_proc_write("/proc/self/cgroup", "4:memory:/own\n");
	write_bytes("/cg/memory/own/memory.limit_in_bytes", 100 * MIB);
	write_bytes("/cg/memory/own/memory.usage_in_bytes", 30 * MIB);
	write_bytes("/cg/memory/memory.limit_in_bytes", (size_t)0x7ffffffffffff000);
	refresh();
	expect(70 * MIB, "CGROUP");
}

Test(headroom, with_the_setting_auto_it_is_the_budget_s_own_reading)
{
	fake_proc_write("/proc/self/mountinfo", "30 24 0:27 / /cg rw - cgroup2 cgroup2 rw\n");
	fake_proc_write("/proc/self/cgroup", "0::/own\n");
	fake_proc_write("/proc/meminfo", "MemTotal:        1024000 kB\n");
	write_bytes("/cg/own/memory.max", 100 * MIB);
	write_bytes("/cg/own/memory.current", 0);
	budget_set("limit:auto-10%");
	refresh();
	expect(MIB * 100 / 100 * 90, "CGROUP");
	write_bytes("/cg/own/memory.current", 20 * MIB);
	fake_clock_advance(NSEC_PER_SEC);
	refresh();
	expect(MIB * 100 / 100 * 90 - 20 * MIB, "CGROUP");
	fake_proc_write("/cg/own/memory.max", "max\n");
	fake_clock_advance(NSEC_PER_SEC);
	refresh();
	expect((size_t)1024000 * 1024 / 100 * 90, "BUDGET");
}
