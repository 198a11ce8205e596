/* SPDX-License-Identifier: BSD-2-Clause */
/* limit:auto, over a cgroup that a test makes up. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "budget_set.h"
#include "config/options.h"
#include "limits/budget.h"
#include "support.h"
#include "system/proc.h"

#define MIB ((size_t)1 << 20)
/* budget.c's own: what the heap may grow by before the cgroup is read again, and how often it
   is. */
#define REREAD_BYTES (4 * MIB)
#define REREAD_NS (5 * NSEC_PER_MSEC)

static void write_bytes(const char *path, size_t bytes)
{
	char text[32];

	snprintf(text, sizeof text, "%zu\n", bytes);
	fake_proc_write(path, text);
}

static void init_auto(void)
{
	support_init();
	fake_clock_freeze();
	fake_proc_begin();
	fake_proc_write("/proc/self/mountinfo", "30 24 0:27 / /cg rw - cgroup2 cgroup2 rw\n");
	fake_proc_write("/proc/self/cgroup", "0::/upper/own\n");
	fake_proc_write("/proc/meminfo", "MemTotal:        1024000 kB\n");
	write_bytes("/cg/upper/own/memory.max", 100 * MIB);
	write_bytes("/cg/upper/own/memory.current", 0);
}

TestSuite(budget_auto, .init = init_auto, .fini = fake_proc_end, .timeout = WATCHDOG_SECONDS);

Test(budget_auto, what_the_group_leaves_less_a_margin)
{
	errno = ERRNO_UNTOUCHED;
	budget_set("limit:auto-10%");
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_eq(oomreclaim_get_limit(), MIB * 100 / 100 * 90);
	cr_expect_eq(budget_max_bytes(), MIB * 100 / 100 * 90);
	cr_expect_not(budget_take(90 * MIB + 1));
	cr_expect_eq(budget_refuser(), CONSTRAINT_CGROUP);
	cr_expect(budget_take(90 * MIB));
	cr_expect_eq(budget_constraint(1), CONSTRAINT_CGROUP);
	cr_expect_eq(budget_constraint(0), CONSTRAINT_NONE);
}

Test(budget_auto, others_use_is_not_ours)
{
	/* 4096 pages of the heap's 20 MiB are there, of the 30 MiB that the group uses. */
	cr_assert(budget_take(20 * MIB));
	fake_proc_write("/proc/self/statm", "10000 4096 0 0 0 0 0\n");
	write_bytes("/cg/upper/own/memory.current", 30 * MIB);
	budget_set("limit:auto-0%");
	cr_expect_eq(oomreclaim_get_limit(), 100 * MIB - (30 * MIB - 16 * MIB));
	cr_expect_eq(budget_max_bytes(), 100 * MIB);
}

/* Shared memory counts for a process and for the group, but is none of the heap's. */
Test(budget_auto, shared_memory_is_not_the_heaps)
{
	cr_assert(budget_take(20 * MIB));
	fake_proc_write("/proc/self/statm", "10000 4096 3072 0 0 0 0\n");
	write_bytes("/cg/upper/own/memory.current", 16 * MIB);
	budget_set("limit:auto-0%");
	cr_expect_eq(oomreclaim_get_limit(), 100 * MIB - (16 * MIB - 4 * MIB));
}

Test(budget_auto, all_of_it_is_others)
{
	write_bytes("/cg/upper/own/memory.current", 200 * MIB);
	budget_set("limit:auto-0%");
	cr_expect_eq(oomreclaim_get_limit(), 0);
	cr_expect_not(budget_take(1));
}

static void *charge_while_cancelled(void *arg)
{
	bool is_within;

	pthread_cancel(pthread_self());
	is_within = budget_take(*(size_t *)arg);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return is_within ? arg : NULL;
}

/* malloc() is no cancellation point, and reading a file is one. */
Test(budget_auto, read_with_a_cancellation_pending)
{
	size_t bytes = REREAD_BYTES + 1;
	pthread_t thread;
	void *result;

	budget_set("limit:auto-0%");
	write_bytes("/cg/upper/own/memory.max", 50 * MIB);
	fake_clock_advance(REREAD_NS);
	cr_assert_eq(pthread_create(&thread, NULL, charge_while_cancelled, &bytes), 0);
	cr_assert_eq(pthread_join(thread, &result), 0);
	cr_expect_eq(result, &bytes);
	/* It was read, and by that thread. */
	cr_expect_eq(oomreclaim_get_limit(), 50 * MIB);
}

Test(budget_auto, the_tightest_ancestor)
{
	write_bytes("/cg/upper/memory.max", 75 * MIB);
	write_bytes("/cg/upper/memory.current", 10 * MIB);
	budget_set("limit:auto-0%");
	cr_expect_eq(oomreclaim_get_limit(), 65 * MIB);
	cr_expect_eq(budget_max_bytes(), 75 * MIB);
}

Test(budget_auto, the_machine)
{
	fake_proc_remove("/cg/upper/own/memory.max");
	budget_set("limit:auto-0%");
	cr_expect_eq(oomreclaim_get_limit(), 1000 * MIB);
	cr_expect_eq(budget_constraint(1001 * MIB), CONSTRAINT_BUDGET, "no group's limit");
	cr_expect_not(budget_take(1001 * MIB));
	cr_expect_eq(budget_refuser(), CONSTRAINT_BUDGET);
}

Test(budget_auto, nothing_can_be_read)
{
	proc_root = "/nonexistent";
	errno = ERRNO_UNTOUCHED;
	budget_set("limit:auto");
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_eq(oomreclaim_get_limit(), SIZE_MAX);
	cr_expect(budget_take(1024 * MIB));
}

/* All descriptors are in use, say. */
Test(budget_auto, nothing_can_be_read_any_more)
{
	budget_set("limit:auto-0%");
	proc_root = "/nonexistent";
	budget_refresh();
	cr_expect_eq(oomreclaim_get_limit(), 100 * MIB);
	cr_expect_eq(budget_max_bytes(), 100 * MIB);
}

/* A group that is gone has no limit. */
Test(budget_auto, the_group_is_gone)
{
	budget_set("limit:auto-0%");
	fake_proc_write("/proc/self/cgroup", "0::/upper/own (deleted)\n");
	budget_refresh();
	cr_expect_eq(oomreclaim_get_limit(), 1000 * MIB);
	write_bytes("/cg/upper/memory.max", 75 * MIB);
	budget_refresh();
	cr_expect_eq(oomreclaim_get_limit(), 75 * MIB, "what is above it");
}

/* To another group. */
Test(budget_auto, moved)
{
	budget_set("limit:auto-0%");
	write_bytes("/cg/other/memory.max", 25 * MIB);
	fake_proc_write("/proc/self/cgroup", "0::/other\n");
	fake_clock_advance(REREAD_NS);
	cr_expect(budget_take(20 * MIB));
	cr_expect_eq(oomreclaim_get_limit(), 25 * MIB);
}

/* Above it the kernel lets nobody run. */
Test(budget_auto, memory_high)
{
	write_bytes("/cg/upper/own/memory.high", 50 * MIB);
	budget_set("limit:auto-0%");
	cr_expect_eq(oomreclaim_get_limit(), 50 * MIB);
	fake_proc_write("/cg/upper/own/memory.max", "max\n");
	budget_refresh();
	cr_expect_eq(oomreclaim_get_limit(), 50 * MIB);
	fake_proc_write("/cg/upper/own/memory.high", "max\n");
	budget_refresh();
	cr_expect_eq(oomreclaim_get_limit(), 1000 * MIB);
}

Test(budget_auto, read_again_before_anybody_is_refused)
{
	budget_set("limit:auto-0%");
	write_bytes("/cg/upper/own/memory.max", 200 * MIB);
	cr_expect_not(budget_take(150 * MIB), "the last reading is fresh");
	fake_clock_advance(REREAD_NS);
	cr_expect(budget_take(150 * MIB));
	cr_expect_eq(oomreclaim_get_limit(), 200 * MIB);
}

Test(budget_auto, read_again_though_the_heap_has_not_grown)
{
	write_bytes("/cg/upper/own/memory.current", 99 * MIB);
	budget_set("limit:auto-0%");
	write_bytes("/cg/upper/own/memory.current", 0);
	cr_expect_not(budget_take(2 * MIB));
	fake_clock_advance(REREAD_NS);
	cr_expect(budget_take(2 * MIB));
}

Test(budget_auto, read_again_when_the_heap_has_grown)
{
	budget_set("limit:auto-0%");
	write_bytes("/cg/upper/own/memory.max", 50 * MIB);
	fake_clock_advance(REREAD_NS);
	cr_expect(budget_take(REREAD_BYTES));
	cr_expect_eq(oomreclaim_get_limit(), 100 * MIB, "not grown enough");
	cr_expect(budget_take(1));
	cr_expect_eq(oomreclaim_get_limit(), 50 * MIB);
}

Test(budget_auto, refresh_reads_at_once)
{
	budget_set("limit:auto-0%");
	write_bytes("/cg/upper/own/memory.max", 50 * MIB);
	errno = ERRNO_UNTOUCHED;
	budget_refresh();
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_eq(oomreclaim_get_limit(), 50 * MIB);
}

Test(budget_auto, the_constraint_is_of_now)
{
	budget_set("limit:auto-0%");
	write_bytes("/cg/upper/own/memory.max", 50 * MIB);
	fake_clock_advance(REREAD_NS);
	cr_expect_eq(budget_constraint(50 * MIB + 1), CONSTRAINT_CGROUP);
	cr_expect_eq(budget_constraint(50 * MIB), CONSTRAINT_NONE);
}

Test(budget_auto, shares_of_what_was_read)
{
	budget_set("limit:auto-0%,high:50%,low:25%");
	cr_assert(budget_take(50 * MIB));
	cr_expect_eq(budget_wakes, 0);
	cr_assert(budget_take(1));
	cr_expect_eq(budget_wakes, 1);
	cr_expect_eq(budget_above_low(), 25 * MIB + 1);
}

/* Another thread reads, and does not get to its end: somebody made a FIFO of the file. */
static void read_for_long(void)
{
	budget_refresh();
}

static void read_in_child(void)
{
	/* Another one. */
	fake_proc_begin();
	fake_proc_write("/proc/meminfo", "MemTotal:        25600 kB\n");
	budget_refresh();
	fake_proc_end();
	if (oomreclaim_get_limit() != 25 * MIB)
		_exit(1);
}

Test(budget_auto, a_child_does_not_wait_for_a_reading_of_its_parents)
{
	struct thread thread;
	char path[1024];
	int status, fd;

	budget_set("limit:auto-0%");
	fake_proc_remove("/cg/upper/own/memory.max");
	fake_proc_path(path, sizeof path, "/cg/upper/own/memory.max");
	cr_assert_eq(mkfifo(path, 0600), 0);
	thread_start(&thread, read_for_long);
	thread_wait_asleep(&thread);
	cr_assert_not(atomic_load(&thread.has_ended));
	/* The others go on with the last reading. */
	fake_clock_advance(REREAD_NS);
	cr_expect_not(budget_take(101 * MIB));
	cr_expect_eq(oomreclaim_get_limit(), 100 * MIB);
	/* Nor is it waited for without an end. */
	budget_refresh();
	cr_assert_not(atomic_load(&thread.has_ended));
	status = run_child(read_in_child);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%#x", (unsigned)status);
	fd = open(path, O_RDWR | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, "1048576\n", 8), 8);
	close(fd);
	thread_join(&thread);
}

Test(budget_auto, a_limit_by_hand_ends_it)
{
	budget_set("limit:auto-0%");
	cr_expect_eq(oomreclaim_set_limit(SIZE_MAX), 0);
	cr_expect(budget_take(150 * MIB));
	cr_expect_eq(budget_max_bytes(), SIZE_MAX);
}
