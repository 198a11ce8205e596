/* SPDX-License-Identifier: BSD-2-Clause */
/* What oomreclaimd does when pressure is reported: here by a FIFO. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "background/background.h"
#include "background_log.h"
#include "base/base.h"
#include "budget_set.h"
#include "config/options.h"
#include "fake_heap.h"
#include "limits/budget.h"
#include "support.h"

#define MIB ((size_t)1 << 20)

static void set(const char *conf)
{
	cr_assert_eq(options_apply("test", conf, &options, NULL), 0);
	budget_init(background_wake);
}

static char fifo_path[1024];
static int fifo;

static void open_fifo(void)
{
	char conf[sizeof fifo_path + 16];

	fake_clock_freeze();
	fake_proc_begin();
	fake_proc_path(fifo_path, sizeof fifo_path, "/fifo");
	cr_assert_eq(mkfifo(fifo_path, 0600), 0);
	snprintf(conf, sizeof conf, "pressure:%s", fifo_path);
	set(conf);
	background_init();
	fifo = open(fifo_path, O_RDWR | O_CLOEXEC);
	cr_assert_geq(fifo, 0);
}

/* With a callback. */
static void start_with_fifo(void)
{
	open_fifo();
	wait_for_thread();
}

TestSuite(background_pressure, .init = support_init, .fini = fake_proc_end,
          .timeout = WATCHDOG_SECONDS);

static void press(void)
{
	int left;

	cr_assert_eq(write(fifo, "x", 1), 1);
	do {
		usleep(1000);
		cr_assert_eq(ioctl(fifo, FIONREAD, &left), 0);
	} while (left > 0);
}

/* background.c's own: with a heap of that size there is something to reclaim. */
#define DUE_BYTES (16 * MIB)

Test(background_pressure, no_thread_before_the_heap_has_a_size)
{
	open_fifo();
	cr_expect_eq(threads(), 0);
	cr_assert(budget_take(DUE_BYTES - 1));
	background_start_if_wanted();
	cr_expect_eq(threads(), 0);
	cr_expect(atomic_load(&background_is_wanted), "it is looked at again");
	cr_assert(budget_take(1));
	background_start_if_wanted();
	wait_for_thread();
	cr_expect_not(atomic_load(&background_is_wanted));
}

Test(background_pressure, nor_before_the_first_callback)
{
	open_fifo();
	/* It is kept until there is somebody. */
	cr_assert_eq(write(fifo, "x", 1), 1);
	cr_expect_eq(threads(), 0);
	serve(empty);
	wait_for_thread();
	wait_for_calls(1);
	cr_expect_eq(seen.asked[0].reason, OOMRECLAIM_REASON_PRESSURE);
}

Test(background_pressure, a_watermark_does_not_wait_for_that)
{
	open_fifo();
	set("high:2M,low:1M");
	cr_assert(budget_take(3 * MIB));
	background_start_if_wanted();
	wait_for_thread();
}

Test(background_pressure, a_sixteenth_of_the_heap)
{
	serve(empty);
	start_with_fifo();
	cr_assert(budget_take(64 * MIB));
	press();
	wait_for_calls(1);
	cr_expect_eq(seen.asked[0].bytes_wanted, 4 * MIB);
	cr_expect_eq(seen.asked[0].reason, OOMRECLAIM_REASON_PRESSURE);
	cr_expect_not(seen.asked[0].is_direct);
	cr_expect_eq(seen.asked[0].level, OOMRECLAIM_LEVEL_MEDIUM);
	/* Others are told as well, for a while. */
	oomreclaim_reclaim(1);
	wait_for_calls(2);
	cr_expect_eq(seen.asked[1].reason, OOMRECLAIM_REASON_MANUAL);
	cr_expect_eq(seen.asked[1].level, OOMRECLAIM_LEVEL_MEDIUM);
}

Test(background_pressure, not_less_than_a_mib)
{
	serve(empty);
	start_with_fifo();
	press();
	wait_for_calls(1);
	cr_expect_eq(seen.asked[0].bytes_wanted, MIB);
}

Test(background_pressure, once_in_a_second)
{
	serve(empty);
	start_with_fifo();
	press();
	wait_for_calls(1);
	wait_until_idle();
	fake_clock_advance(NSEC_PER_SEC - 1);
	press();
	wait_until_idle();
	cr_expect_eq(calls(), 1);
	fake_clock_advance(1);
	press();
	wait_for_calls(2);
}

Test(background_pressure, no_round_at_the_end)
{
	serve(empty);
	start_with_fifo();
	/* Its first look at the watermark is over. */
	while (fake_heap_count('p') == 0)
		usleep(1000);
	background_stop();
	cr_assert_eq(write(fifo, "x", 1), 1);
	while (threads() > 0)
		usleep(1000);
	cr_expect_eq(calls(), 0);
}

#ifndef __SANITIZE_THREAD__
static void press_in_child(void)
{
	if (!atomic_load(&background_is_wanted))
		_exit(1);
	background_start_if_wanted();
	/* The parent's thread reads from it as well. */
	while (calls() < 2)
		press();
}

static void begin_in_child(void)
{
	int left;

	if (threads() != 0)
		_exit(1);
	serve(empty);
	wait_for_thread();
	press();
	wait_for_calls(1);
	if (ioctl(fifo, FIONREAD, &left) != 0 || left != 0)
		_exit(2);
}

Test(background_pressure, a_child_of_one_that_has_not_begun)
{
	int status;

	open_fifo();
	status = run_child(begin_in_child);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%#x", (unsigned)status);
	cr_expect_eq(threads(), 0);
}

Test(background_pressure, a_child_watches_by_itself)
{
	int status;

	serve(empty);
	start_with_fifo();
	press();
	wait_for_calls(1);
	wait_until_idle();
	status = run_child(press_in_child);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%#x", (unsigned)status);
}
#endif
