/* SPDX-License-Identifier: BSD-2-Clause */
/* The page of counters: there when it is asked for, whole when it is read, gone with its
   process. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "background/background.h"
#include "base/base.h"
#include "budget_set.h"
#include "config/options.h"
#include "fake_heap.h"
#include "forbid.h"
#include "ladder/ladder.h"
#include "limits/budget.h"
#include "limits/group.h"
#include "report/stats.h"
#include "report/stats_layout.h"
#include "report/stats_page.h"
#include "support.h"

TestSuite(stats_page, .init = support_init, .timeout = WATCHDOG_SECONDS);

static const struct heap_request request = {.size = 4096};

/* The descriptor of the one page that this process has; -1 if there is none. Takes no memory: a
   test may have seen to it that there is none. */
static int page_fd(void)
{
	char path[64], link[64];
	int found = -1;

	for (int fd = 0; fd < 1024; fd++) {
		ssize_t length;

		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		length = readlink(path, link, sizeof link - 1);
		link[length > 0 ? length : 0] = '\0';
		if (strcmp(link, STATS_PAGE_LINK) != 0)
			continue;
		cr_expect_eq(found, -1, "two pages");
		found = fd;
	}
	return found;
}

static struct stats_page page;

static void read_page(void)
{
	cr_assert_eq(pread(page_fd(), &page, sizeof page, 0), sizeof page);
}

Test(stats_page, none_without_the_setting)
{
	stats_page_update();
	stats_page_update_if_due();
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	cr_expect_null(ladder_descend(&request));
	cr_expect_eq(page_fd(), -1);
}

Test(stats_page, by_what_pressure_is_known)
{
	char longest[1024];

	options.is_stats = true;
	stats_page_update();
	read_page();
	cr_expect_eq(page.pressure, STATS_PRESSURE_NONE);
	cr_expect_str_eq(page.pressure_path, "");
	memset(longest, 'x', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	stats_page_note_pressure(STATS_PRESSURE_EVENT, longest);
	stats_page_update();
	read_page();
	cr_expect_eq(strlen(page.pressure_path), STATS_PAGE_PATH_MAX);
	stats_page_note_pressure(STATS_PRESSURE_STALL, "/x");
	stats_page_update();
	read_page();
	cr_expect_eq(page.pressure, STATS_PRESSURE_STALL);
	cr_expect_str_eq(page.pressure_path, "/x");
	stats_page_note_pressure(STATS_PRESSURE_NONE, NULL);
	stats_page_update();
	read_page();
	cr_expect_str_eq(page.pressure_path, "");
}

/* How fast it grows, once it has been seen for long enough; a child begins anew. */
static void no_growth_in_child(void)
{
	stats_page_update();
	read_page();
	_exit(page.growth == 0 ? 0 : 1);
}

Test(stats_page, growth)
{
	fake_clock_freeze();
	options.is_stats = true;
	for (int i = 0; i < 6; i++) {
		cr_assert(budget_take(8 << 20));
		stats_page_update();
		fake_clock_advance(4 * NSEC_PER_SEC);
	}
	read_page();
	cr_expect_eq(page.growth, 2 << 20);
	cr_expect_eq(run_child(no_growth_in_child), 0);
}

/* A thread notes events while the page is made anew: they go to what is there, before and after,
   and none is lost. */
Test(stats_page, events_go_to_the_page)
{
	const struct stats_page *former;
	int before;

	options.is_stats = true;
	stats_page_update();
	flight_note(FLIGHT_STEP, 1, 2, 3, NULL);
	read_page();
	cr_expect_eq(page.flight.count, 1);
	cr_expect_eq(page.flight.event[0].bytes, 2);
	before = page_fd();
	former = mmap(NULL, sizeof page, PROT_READ, MAP_SHARED, before, 0);
	cr_assert_neq(former, MAP_FAILED);
	close(before);
	stats_page_update();
	flight_note(FLIGHT_STEP, 1, 4, 3, NULL);
	read_page();
	cr_expect_eq(page.flight.count, 2);
	cr_expect_eq(page.flight.event[0].number, 1);
	cr_expect_eq(page.flight.event[0].bytes, 2);
	cr_expect_eq(page.flight.event[1].bytes, 4);
	cr_expect_eq(former->flight.count, 1);
	/* In a child there is no page at first. */
	stats_page_fork_child();
	flight_note(FLIGHT_STEP, 1, 5, 3, NULL);
	cr_expect_eq(page_fd(), -1);
}

Test(stats_page, what_is_in_it)
{
	options.is_stats = true;
	stats_page_update();
	read_page();
	cr_expect_eq(memcmp(page.magic, "OOMSTATS", 8), 0);
	cr_expect_eq(page.version, 8);
	cr_expect_eq(page.bytes, sizeof page);
	cr_expect_eq(page.sequence % 2, 0);
	cr_expect_eq(page.pid, getpid());
	cr_expect_eq(page.interval_ms, STATS_PAGE_INTERVAL_MS);
	cr_expect_str_eq(page.library, oomreclaim_version());
	cr_expect_gt(page.updated_ns, 0);
	cr_expect_eq(page.stats.struct_size, sizeof page.stats);
	cr_expect_eq(page.stats.failures, 0);
}

static size_t give_nothing(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	return 0;
}

Test(stats_page, a_failure_is_in_it_at_once)
{
	options.is_stats = true;
	oomreclaim_register("nothing", 5, 0, give_nothing, NULL, NULL);
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	cr_expect_null(ladder_descend(&request));
	read_page();
	cr_expect_eq(page.stats.refused, 1);
	cr_expect_eq(page.stats.last_outcome, OOMRECLAIM_OUTCOME_NULL);
	cr_expect_eq(page.callbacks, 1);
	cr_expect_str_eq(page.callback[0].name, "nothing");
	cr_expect_eq(page.callback[0].priority, 5);
	cr_expect_eq(page.callback[0].calls, 1);
}

Test(stats_page, many_failures_are_few_updates)
{
	options.is_stats = true;
	fake_clock_freeze();
	stats_page_update();
	read_page();
	cr_assert_eq(page.stats.failures, 0);
	ladder_descend(&request);
	read_page();
	cr_expect_eq(page.stats.failures, 0);
	fake_clock_advance(10 * NSEC_PER_MSEC);
	ladder_descend(&request);
	read_page();
	cr_expect_eq(page.stats.failures, 2);
}

Test(stats_page, not_where_the_heap_may_be_locked)
{
	options.is_stats = true;
	fake_heap_is_reentrant = true;
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	cr_expect_null(ladder_descend(&request));
	cr_expect_eq(page_fd(), -1);
}

Test(stats_page, more_callbacks_than_it_has_room_for)
{
	options.is_stats = true;
	for (int i = 0; i < CALLBACKS_SHOWN + 2; i++)
		oomreclaim_register("nothing", 0, 0, give_nothing, NULL, NULL);
	stats_page_update();
	read_page();
	cr_expect_eq(page.callbacks, CALLBACKS_SHOWN);
	cr_expect_eq(page.stats.callbacks, CALLBACKS_SHOWN + 2);
}

/* Those with the most charged, and how many there are. */
Test(stats_page, more_groups_than_it_has_room_for)
{
	unsigned last = 0;

	options.is_stats = true;
	stats_page_update();
	read_page();
	cr_expect_eq(page.groups, 0);
	cr_expect_eq(page.groups_total, 0);
	group_lock();
	for (unsigned i = 0; i < 3 * STATS_PAGE_GROUPS; i++)
		last = (unsigned)group_add("many", 0);
	group_unlock();
	group_charge_arena_to(100, last);
	cr_assert(group_charge(100, 5000));
	group_set_max(last, 6000);
	group_set_score_adj(last, 11);
	group_set_policy(last, OOMRECLAIM_POLICY_CANCEL);
	stats_page_update();
	read_page();
	cr_expect_eq(page.groups, STATS_PAGE_GROUPS);
	cr_expect_eq(page.groups_total, 3 * STATS_PAGE_GROUPS);
	cr_expect_str_eq(page.group[0].name, "many");
	cr_expect_eq(page.group[0].group, group_handle(last));
	cr_expect_eq(page.group[0].stats.charged, 5000);
	cr_expect_eq(page.group[0].stats.allocated, last * 1000);
	cr_expect_eq(page.group[0].max, 6000);
	cr_expect_eq(page.group[0].policy, OOMRECLAIM_POLICY_CANCEL);
	cr_expect_eq(page.group[0].score_adj, 11);
	cr_expect_eq(page.group[1].stats.charged, 0);
	cr_expect_eq(page.group[1].max, UINT64_MAX);
}

Test(stats_page, nobody_else_can_write)
{
	char path[64], byte = 1;
	int fd;

	options.is_stats = true;
	stats_page_update();
	snprintf(path, sizeof path, "/proc/self/fd/%d", page_fd());
	fd = open(path, O_RDWR);
	if (fd >= 0) {
		cr_expect_eq(pwrite(fd, &byte, 1, 0), -1);
		cr_expect_eq(ftruncate(fd, 0), -1, "that would end the program by SIGBUS");
		close(fd);
	}
	cr_expect_eq(fcntl(page_fd(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

Test(stats_page, the_program_closes_it)
{
	int fd;

	options.is_stats = true;
	stats_page_update();
	fd = page_fd();
	close(fd);
	cr_assert_eq(page_fd(), -1);
	stats_page_update();
	cr_expect_geq(page_fd(), 0);
	read_page();
	cr_expect_eq(page.pid, getpid());
}

Test(stats_page, the_program_takes_its_number)
{
	int fd, other = open("/dev/null", O_RDWR);

	options.is_stats = true;
	stats_page_update();
	fd = page_fd();
	cr_assert_eq(dup2(other, fd), fd);
	stats_page_update();
	cr_expect_neq(page_fd(), fd);
	cr_expect_eq(write(fd, "", 1), 1, "it is open still, and the program's");
}

/* Between two calls another thread may have closed it, and taken the number. */
Test(stats_page, not_in_a_table_that_other_threads_use)
{
	options.is_stats = true;
	fake_proc_begin();
	fake_proc_mkdir("/proc/self/task/1");
	fake_proc_mkdir("/proc/self/task/2");
	cr_expect_eq(stats_page_write(), 0);
	cr_expect_eq(page_fd(), -1);
	cr_expect(stats_page_is_wanting());
	stats_page_hold();
	cr_expect_geq(page_fd(), 0, "in one of its own");
	cr_expect(stats_page_is_held());
	cr_expect_not(stats_page_is_wanting());
	fake_proc_end();
}

static void expect_none_and_then_one(void)
{
	if (page_fd() != -1)
		_exit(1);
	stats_page_update();
	if (pread(page_fd(), &page, sizeof page, 0) != sizeof page)
		_exit(2);
	_exit(page.pid == getpid() ? 0 : 3);
}

Test(stats_page, a_child_has_its_own)
{
	int status;

	options.is_stats = true;
	stats_page_update();
	status = run_child(expect_none_and_then_one);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
	read_page();
	cr_expect_eq(page.pid, getpid());
}

Test(stats_page, no_descriptor_left)
{
	struct rlimit none;

	getrlimit(RLIMIT_NOFILE, &none);
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(stats_page_write(), -EMFILE);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	none.rlim_cur = none.rlim_max;
	setrlimit(RLIMIT_NOFILE, &none);
	cr_expect_eq(stats_page_write(), 0);
}

Test(stats_page, files_may_not_be_that_large)
{
	const struct rlimit tiny = {16, RLIM_INFINITY};
	struct rlimit old;

	getrlimit(RLIMIT_FSIZE, &old);
	setrlimit(RLIMIT_FSIZE, &tiny);
	cr_expect_eq(stats_page_write(), -EFBIG, "and not SIGXFSZ");
	cr_expect_eq(page_fd(), -1);
	/* At its end the process may write more than that: counts, say. */
	setrlimit(RLIMIT_FSIZE, &old);
}

static const int *forbidden_calls;
static size_t forbidden_count;
static int forbidden_error;

static void write_without_a_call(void)
{
	int before = lowest_free_fd();

	forbid(forbidden_error, forbidden_calls, forbidden_count);
	errno = ERRNO_UNTOUCHED;
	if (stats_page_write() != -forbidden_error)
		_exit(2);
	if (errno != ERRNO_UNTOUCHED)
		_exit(3);
	if (page_fd() != -1)
		_exit(4);
	_exit(lowest_free_fd() == before ? 0 : 5);
}

/* In a child: what the test is written with may need the call as well, a sanitizer's malloc mmap(),
   say. */
static void expect_no_page(int error, const int *calls, size_t count)
{
	int status;

	forbidden_calls = calls;
	forbidden_count = count;
	forbidden_error = error;
	status = run_child(write_without_a_call);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

Test(stats_page, no_memfd)
{
	expect_no_page(ENOSYS, (int[]){SYS_memfd_create}, 1);
}

Test(stats_page, no_memory_for_it)
{
	expect_no_page(ENOSPC, (int[]){SYS_ftruncate}, 1);
}

Test(stats_page, no_mapping)
{
	expect_no_page(ENOMEM, (int[]){SYS_mmap}, 1);
}

Test(stats_page, a_filter_that_hides_files)
{
	/* Either is fstat(), by the version of libc. */
	expect_no_page(EBADF, (int[]){SYS_newfstatat, SYS_fstat}, 2);
}

/* fcntl() is out: the page can't be sealed, and stays where it is among the descriptors. */
Test(stats_page, no_seals)
{
	struct stat file;

	forbid_calls(EINVAL, SYS_fcntl);
	cr_expect_eq(stats_page_write(), 0);
	cr_assert_eq(fstat(page_fd(), &file), 0);
	cr_expect_eq(file.st_mode & 07777, 0400, "others may read it");
}

/* ---- Readers ---- */

static atomic_bool is_done;

static void keep_writing(void)
{
	while (!atomic_load(&is_done)) {
		fake_heap_fail(1);
		ladder_descend(&request);
		stats_page_update();
	}
}

Test(stats_page, a_copy_is_whole)
{
	struct thread writer = {.function = NULL};
	unsigned taken = 0;
	uint64_t before, after;
	int fd;

	options.is_stats = true;
	stats_page_update();
	fd = page_fd();
	thread_start(&writer, keep_writing);
	while (taken < 100) {
		cr_assert_eq(pread(fd, &before, sizeof before,
		                   offsetof(struct stats_page, sequence)),
		             sizeof before);
		cr_assert_eq(pread(fd, &page, sizeof page, 0), sizeof page);
		cr_assert_eq(pread(fd, &after, sizeof after, offsetof(struct stats_page, sequence)),
		             sizeof after);
		if (before % 2 != 0 || before != after)
			continue;
		taken++;
		/* The writer is one thread, and at no update inside the ladder. */
		cr_assert_eq(page.stats.failures, page.stats.served);
	}
	atomic_store(&is_done, true);
	thread_join(&writer);
}

/* As on the slow path of an allocation. */
static void grow(size_t bytes)
{
	cr_assert(budget_take(bytes));
	background_start_if_wanted();
}

/* All in one moment, and then it rests. No thread is there to write it later. */
Test(stats_page, what_a_small_process_has_come_to)
{
	uint64_t written;

	fake_clock_freeze();
	options.is_stats = true;
	background_init();
	for (int i = 0; i < 4; i++)
		grow(2 << 20);
	read_page();
	cr_expect_eq(page.stats.charged, 8 << 20);
	/* Not for each allocation, nor whenever it grows again. */
	written = page.sequence;
	grow(1 << 16);
	budget_uncharge(4 << 20);
	for (int i = 0; i < 4; i++)
		grow(1 << 20);
	read_page();
	cr_expect_eq(page.sequence, written);
}
