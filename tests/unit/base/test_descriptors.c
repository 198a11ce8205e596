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

Test(descriptors, oomreclaimd)
{
	unsigned before = count_open(), tasks = count_tasks();
	rlim_t spare = 0;

	set("high:2M,low:1M");
	budget_init(background_wake);
	while (count_tasks() == tasks && spare < SPARE_MAX) {
		cr_expect_eq(count_open(), before, "with %lu", (unsigned long)spare);
		leave(spare++);
		errno = ERRNO_UNTOUCHED;
		background_wake();
		background_start();
		cr_expect_eq(errno, ERRNO_UNTOUCHED);
		leave_all();
	}
	/* ThreadSanitizer starts one of its own with the first. */
	cr_expect_gt(count_tasks(), tasks);
	cr_expect_gt(spare, 1);
	/* As good as any. */
	serve(generous);
	cr_assert(budget_charge((size_t)3 << 20));
	wait_for_calls(1);
}

/* It is tried again, each time. */
Test(descriptors, oomreclaimd_with_pressure)
{
	unsigned before;

	fake_proc_write("/memory", "");
	set_pressure("/memory");
	background_note_callback();
	before = count_open();
	for (int i = 0; i < 3; i++) {
		/* The source has what there is. */
		leave(1);
		background_start();
		leave_all();
		cr_expect_eq(threads(), 0);
		cr_expect_leq(count_open(), before + 1, "after %d", i + 1);
	}
	background_start();
	cr_expect_eq(threads(), 1);
	cr_expect_eq(count_open(), before + 3);
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
