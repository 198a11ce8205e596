/* SPDX-License-Identifier: BSD-2-Clause */
/* No descriptors to be had: however many there are, what wants some works, or does without and
   leaves none. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "background/background.h"
#include "background/pressure.h"
#include "background_log.h"
#include "budget_set.h"
#include "config/options.h"
#include "limits/budget.h"
#include "report/stats_page.h"
#include "support.h"

/* Nothing here needs as many at a time. */
#define SPARE_MAX 8

static const char *path;

static void init(void)
{
	support_init();
	unsetenv("MEMORY_PRESSURE_WATCH");
	fake_proc_begin();
}

TestSuite(descriptors, .init = init, .fini = fake_proc_end, .timeout = WATCHDOG_SECONDS);

static void set(const char *conf)
{
	cr_assert_eq(options_apply("test", conf, &options, NULL), 0, "%s", conf);
}

static void set_pressure(const char *name)
{
	char file[1024], conf[1100];

	fake_proc_path(file, sizeof file, name);
	snprintf(conf, sizeof conf, "pressure:%s", file);
	set(conf);
}

/* The limit as it was. */
static struct rlimit all;

static unsigned count_open(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void leave(rlim_t spare)
{
	int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct rlimit limit;

	cr_assert_geq(lowest, 0);
	close(lowest);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	limit = (struct rlimit){(rlim_t)lowest + spare, all.rlim_max};
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void leave_all(void)
{
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
}

/* Without one, with one, and so on until there are enough. */
static void sweep_pressure(void)
{
	unsigned before = count_open();
	rlim_t spare = 0;
	int error;

	do {
		leave(spare);
		error = pressure_open(&path);
		leave_all();
		cr_assert(error == 0 || error == -EMFILE, "%d with %lu", error,
		          (unsigned long)spare);
		if (error == 0)
			cr_expect_geq(pressure_fd(), 0);
		pressure_close();
		cr_expect_eq(count_open(), before, "with %lu", (unsigned long)spare);
	} while (error != 0 && ++spare < SPARE_MAX);
	cr_expect_eq(error, 0);
	cr_expect_gt(spare, 0);
}

Test(descriptors, pressure_stall)
{
	fake_proc_write("/memory", "");
	set_pressure("/memory");
	sweep_pressure();
}

Test(descriptors, pressure_level)
{
	fake_proc_write("/cg/memory.pressure_level", "");
	fake_proc_write("/cg/cgroup.event_control", "");
	set_pressure("/cg/memory.pressure_level");
	sweep_pressure();
}

Test(descriptors, pressure_fifo)
{
	char file[1024];

	fake_proc_path(file, sizeof file, "/fifo");
	cr_assert_eq(mkfifo(file, 0600), 0);
	set_pressure("/fifo");
	sweep_pressure();
}

Test(descriptors, pressure_socket)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	fake_proc_path(address.sun_path, sizeof address.sun_path, "/socket");
	cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
	cr_assert_eq(listen(fd, SPARE_MAX), 0);
	set_pressure("/socket");
	sweep_pressure();
}

/* Not threads(): a name takes a descriptor as well. */
static unsigned count_tasks(void)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned count = 0;

	cr_assert(tasks != NULL);
	while (readdir(tasks) != NULL)
		count++;
	closedir(tasks);
	return count;
}

/* It has none. */
Test(descriptors, oomreclaimd)
{
	unsigned before = count_open(), tasks = count_tasks();

	set("high:2M,low:1M");
	budget_init(background_wake);
	leave(0);
	errno = ERRNO_UNTOUCHED;
	background_wake();
	background_start();
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	leave_all();
	cr_expect_eq(count_open(), before);
	/* ThreadSanitizer starts one of its own with the first. */
	cr_expect_gt(count_tasks(), tasks);
	serve(generous);
	cr_assert(budget_take((size_t)3 << 20));
	wait_for_calls(1);
}

/* Nor does the source take one of the program's while that has threads. */
Test(descriptors, oomreclaimd_with_pressure)
{
	unsigned before = count_open();
	char file[1024];
	int fifo;

	fake_proc_mkdir("/proc/self/task/1");
	fake_proc_mkdir("/proc/self/task/2");
	fake_proc_path(file, sizeof file, "/fifo");
	cr_assert_eq(mkfifo(file, 0600), 0);
	set_pressure("/fifo");
	leave(0);
	serve(empty);
	background_start();
	leave_all();
	cr_expect_eq(count_open(), before);
	fifo = open(file, O_WRONLY | O_CLOEXEC);
	cr_assert_eq(write(fifo, "x", 1), 1);
	wait_for_calls(1);
	cr_expect_eq(seen.asked[0].reason, OOMRECLAIM_REASON_PRESSURE);
	close(fifo);
}

Test(descriptors, page_of_counters)
{
	unsigned before = count_open();

	set("stats:true");
	leave(0);
	cr_expect_eq(stats_page_write(), -EMFILE);
	leave_all();
	cr_expect_eq(count_open(), before);
	cr_expect_eq(stats_page_write(), 0);
	cr_expect_eq(count_open(), before + 1);
}

static void leave_none(void)
{
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, all.rlim_max}), 0);
}

/* A thread has it where the program has others, and tries again. */
Test(descriptors, page_of_counters_later)
{
	unsigned before = count_open(), tasks = count_tasks();

	fake_proc_mkdir("/proc/self/task/1");
	fake_proc_mkdir("/proc/self/task/2");
	set("stats:true");
	cr_expect_eq(stats_page_write(), 0);
	leave_none();
	background_start();
	/* It has tried, in the first moment of its life. */
	usleep(100000);
	cr_expect_not(stats_page_is_held());
	leave_all();
	while (!stats_page_is_held())
		usleep(1000);
	cr_expect_eq(count_open(), before);
	cr_expect_geq(count_tasks(), tasks + 2);
}

/* /proc's word of the thread with that name, or -1. */
static int open_stat_of(const char *name)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *task;
	int found = -1;

	cr_assert(tasks != NULL);
	while ((task = readdir(tasks)) != NULL && found < 0) {
		char file[300], text[256] = "";

		snprintf(file, sizeof file, "/proc/self/task/%s/stat", task->d_name);
		found = open(file, O_RDONLY | O_CLOEXEC);
		if (found >= 0 &&
		    (pread(found, text, sizeof text - 1, 0) <= 0 || strstr(text, name) == NULL)) {
			close(found);
			found = -1;
		}
	}
	closedir(tasks);
	return found;
}

/* True if it comes to rest. */
static bool falls_asleep(int stat)
{
	unsigned asleep = 0;

	for (int i = 0; i < 3000 && asleep < 100; i++) {
		char text[256] = "";
		const char *state;

		cr_assert_gt(pread(stat, text, sizeof text - 1, 0), 0);
		state = strrchr(text, ')');
		asleep = state != NULL && state[2] == 'S' ? asleep + 1 : 0;
		usleep(1000);
	}
	return asleep == 100;
}

/* poll() takes none then. */
Test(descriptors, none_allowed_while_it_waits)
{
	char file[1024];
	int fifo, stat;
	bool is_asleep;

	fake_proc_path(file, sizeof file, "/fifo");
	cr_assert_eq(mkfifo(file, 0600), 0);
	set_pressure("/fifo");
	serve(empty);
	background_start();
	fifo = open(file, O_WRONLY | O_CLOEXEC);
	cr_assert_eq(write(fifo, "x", 1), 1);
	wait_for_calls(1);
	stat = open_stat_of("(oomreclaim-poll)");
	cr_assert_geq(stat, 0);
	leave_none();
	/* That ends a wait that has begun. */
	cr_assert_eq(write(fifo, "x", 1), 1);
	is_asleep = falls_asleep(stat);
	leave_all();
	cr_expect(is_asleep);
	close(stat);
	close(fifo);
}
