/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaimd: when it is there, what it asks for, and when it gives up. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "add_group.h"
#include "background/background.h"
#include "background/leisure.h"
#include "background_log.h"
#include "budget_set.h"
#include "config/options.h"
#include "fake_heap.h"
#include "ladder/ladder.h"
#include "limits/budget.h"
#include "limits/group_low.h"
#include "limits/headroom.h"
#include "support.h"

#define MIB ((size_t)1 << 20)
/* budget.c's own: how much more wakes it again where it could do nothing. */
#define REREAD_BYTES (4 * MIB)

static void set(const char *conf)
{
	cr_assert_eq(options_apply("test", conf, &options, NULL), 0);
	budget_init(background_wake);
}

static void init(void)
{
	support_init();
	set("high:2M,low:1M");
}

TestSuite(background, .init = init, .timeout = WATCHDOG_SECONDS);

/* As on the slow path of an allocation. */
static void charge(size_t bytes)
{
	cr_assert(budget_take(bytes));
	background_start_if_wanted();
}

/* ---- The watermark ---- */

Test(background, not_before_it_is_needed)
{
	charge(2 * MIB);
	cr_expect_not(atomic_load(&background_is_wanted));
	background_init();
	cr_expect_eq(threads(), 0);
}

Test(background, wanted_where_it_cannot_be_started)
{
	errno = ERRNO_UNTOUCHED;
	background_wake();
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect(atomic_load(&background_is_wanted));
	cr_expect_eq(threads(), 0);
	errno = ERRNO_UNTOUCHED;
	background_start_if_wanted();
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_not(atomic_load(&background_is_wanted));
	wait_for_thread();
	background_start();
	cr_expect_eq(threads(), 1, "one is enough");
}

/* jemalloc holds the lock of its control interface while pthread_create() allocates for it. */
Test(background, not_where_the_heap_has_called_out)
{
	background_wake();
	fake_heap_is_reentrant = true;
	background_start_if_wanted();
	cr_expect_eq(threads(), 0);
	cr_expect(atomic_load(&background_is_wanted));
	fake_heap_is_reentrant = false;
	background_start_if_wanted();
	wait_for_thread();
}

Test(background, errno_whatever_is_missing)
{
	struct capture capture;

	set("pressure:/nonexistent");
	capture_begin(&capture);
	errno = ERRNO_UNTOUCHED;
	background_init();
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_str_eq(
		capture_next(&capture),
		"oomreclaim: pressure: /nonexistent: No such file or directory; not watched\n");
	capture_end(&capture);
	/* There is nothing for it to do. */
	cr_expect_not(atomic_load(&background_is_wanted));
	serve(empty);
	cr_expect_eq(threads(), 0);
}

Test(background, down_to_the_low_one)
{
	serve(generous);
	charge(3 * MIB);
	wait_for_calls(1);
	wait_until_idle();
	cr_expect_eq(budget_charged(), MIB);
	cr_expect_eq(calls(), 1);
	cr_expect_eq(seen.asked[0].bytes_wanted, 2 * MIB);
	cr_expect_eq(seen.asked[0].reason, OOMRECLAIM_REASON_WATERMARK);
	cr_expect_str_eq(seen.asked[0].constraint, "NONE");
	cr_expect_not(seen.asked[0].is_direct);
	cr_expect(seen.was_in_ladder, "what it allocates does not descend");
	cr_expect_eq(fake_heap_count('a'), 0);
	/* The heap's own first; what came back stays with it for the next allocation. */
	cr_expect_str_eq(fake_heap_trace(), "fpf");
}

/* A file is opened in the program's table of descriptors, where another thread may be closing all.
   The limit is above all that a process can have: it is there to be read. */
Test(background, reads_no_limit_that_nobody_has_asked_for)
{
	const struct rlimit limit = {(rlim_t)1 << 50, (rlim_t)1 << 50};
	struct headroom nearest;

	cr_assert_eq(setrlimit(RLIMIT_DATA, &limit), 0);
	serve(generous);
	charge(3 * MIB);
	wait_for_calls(1);
	wait_until_idle();
	headroom_nearest(&nearest, false);
	cr_expect_eq(nearest.ceiling, SIZE_MAX);
	headroom_refresh();
	headroom_nearest(&nearest, false);
	cr_expect_neq(nearest.ceiling, SIZE_MAX);
}

/* What a group keeps free is not there for others: they are asked for all that lacks. */
Test(background, what_groups_keep_does_not_count)
{
	static const struct heap_stats stats = {.dirty = MIB};

	fake_heap_stats = &stats;
	group_set_min(add_group("kept", 0), MIB);
	serve(generous);
	charge(3 * MIB);
	wait_for_calls(1);
	wait_until_idle();
	cr_expect_eq(seen.asked[0].bytes_wanted, 2 * MIB);
	cr_expect_eq(fake_heap_keeps, GROUP_KEEPS_LOW);
}

/* Where callbacks have nothing, what is within a group's low goes. */
Test(background, low_holds_as_long_as_others_have_something)
{
	group_set_low(add_group("kept", 0), MIB);
	serve(empty);
	charge(3 * MIB);
	wait_for_calls(1);
	while (fake_heap_count('p') < 2)
		usleep(1000);
	cr_expect_eq(fake_heap_keeps, GROUP_KEEPS_MIN);
	background_stop();
}

/* Callbacks had nothing to give, so it stays above the low one. What is free goes back once the
   heap has been the same for a while. */
Test(background, at_leisure)
{
	serve(empty);
	charge(3 * MIB);
	wait_for_calls(1);
	wait_until_idle();
	cr_expect_eq(fake_heap_count('p'), 1);
	while (fake_heap_count('p') < 2)
		usleep(10000);
	cr_expect_eq(fake_heap_keeps, GROUP_KEEPS_NONE);
	cr_expect_eq(calls(), 1, "nobody is asked");
}

Test(background, no_leisure_below_the_low_one)
{
	cr_expect_eq(leisure_due_ms(), -1);
	charge(MIB + 1);
	cr_expect_geq(leisure_due_ms(), 0);
	leisure_look();
	cr_expect_gt(leisure_due_ms(), 0);
	leisure_look();
	cr_expect_eq(fake_heap_count('p'), 1, "the same as the last time");
	charge(1);
	leisure_look();
	cr_expect_eq(fake_heap_count('p'), 1, "in use");
	fake_heap_evictable = 0;
	leisure_look();
	leisure_look();
	cr_expect_eq(fake_heap_count('p'), 1, "nothing is free");
	budget_uncharge(MIB);
	cr_expect_eq(leisure_due_ms(), -1);
}

Test(background, what_is_free_in_the_heap_is_not_asked_for)
{
	static const struct heap_stats stats = {.dirty = 1000};

	fake_heap_stats = &stats;
	serve(empty);
	charge(3 * MIB);
	wait_for_calls(1);
	cr_expect_eq(seen.asked[0].bytes_wanted, 2 * MIB - 1000);
}

Test(background, enough_is_free_in_the_heap)
{
	static const struct heap_stats stats = {.dirty = 2 * MIB};

	fake_heap_stats = &stats;
	serve(empty);
	charge(3 * MIB);
	/* Until it has looked. */
	while (fake_heap_count('p') == 0)
		usleep(1000);
	background_stop();
	cr_expect_eq(calls(), 0);
}

Test(background, woken_again)
{
	serve(generous);
	charge(3 * MIB);
	wait_for_calls(1);
	wait_until_idle();
	errno = ERRNO_UNTOUCHED;
	charge(MIB + 1);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	wait_for_calls(2);
	cr_expect_eq(seen.asked[1].bytes_wanted, MIB + 1);
	cr_expect_eq(threads(), 1);
}

Test(background, nothing_to_give)
{
	serve(empty);
	charge(3 * MIB);
	wait_for_calls(1);
	wait_until_idle();
	cr_expect_eq(calls(), 1);
	charge(REREAD_BYTES);
	wait_until_idle();
	cr_expect_eq(calls(), 1, "it would be in vain");
	charge(1);
	wait_for_calls(2);
}

Test(background, a_liar_is_believed_so_often)
{
	serve(liar);
	charge(3 * MIB);
	wait_for_calls(MAX_RECLAIM_RETRIES);
	wait_until_idle();
	cr_expect_eq(calls(), MAX_RECLAIM_RETRIES);
	cr_expect_eq(seen.asked[0].attempt, 0);
	cr_expect_eq(seen.asked[15].attempt, 15);
}

Test(background, a_thread_of_its_own_kind)
{
	char path[64], text[4096], *mask;
	FILE *file;
	size_t bytes;

	serve(generous);
	charge(3 * MIB);
	wait_for_calls(1);
	snprintf(path, sizeof path, "/proc/self/task/%d/status", seen.tid);
	file = fopen(path, "re");
	cr_assert(file != NULL);
	bytes = fread(text, 1, sizeof text - 1, file);
	text[bytes] = '\0';
	fclose(file);
	cr_expect(strncmp(text, "Name:\toomreclaimd\n", 18) == 0, "%.32s", text);
	/* All that may be blocked: the program's handlers run on the program's threads. */
	mask = strstr(text, "SigBlk:\t");
	cr_assert(mask != NULL);
	cr_expect(strtoull(mask + 8, NULL, 16) & 1ULL << (SIGTERM - 1), "%.30s", mask);
	cr_expect(strtoull(mask + 8, NULL, 16) & 1ULL << (SIGUSR1 - 1), "%.30s", mask);
}

Test(background, the_starters_signals_are_as_before)
{
	sigset_t before, after;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	background_wake();
	background_start_if_wanted();
	wait_for_thread();
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	cr_expect_eq(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
	cr_expect_eq(sigismember(&after, SIGUSR1), 0);
}

/* ---- Its end, and fork() ---- */

Test(background, none_is_started_at_the_end)
{
	background_stop();
	serve(generous);
	charge(3 * MIB);
	background_wake();
	background_start();
	cr_expect_eq(threads(), 0);
	/* One that was started may have ended by now; what it is woken through would be there
	   still. */
	background_wake();
	cr_expect(atomic_load(&background_is_wanted));
}

Test(background, no_round_after_the_end)
{
	serve(generous);
	charge(3 * MIB);
	wait_for_calls(1);
	wait_until_idle();
	background_stop();
	charge(3 * MIB);
	/* It wakes, and ends. */
	while (threads() > 0)
		usleep(1000);
	cr_expect_eq(calls(), 1);
}

/* ThreadSanitizer has no new threads in the child of a process with several. */
#ifndef __SANITIZE_THREAD__
static void use_in_child(void)
{
	if (threads() != 0)
		_exit(1);
	if (!budget_take(REREAD_BYTES + 2 * MIB) || !atomic_load(&background_is_wanted))
		_exit(2);
	background_start_if_wanted();
	wait_for_calls(2);
	if (threads() != 1)
		_exit(3);
}

Test(background, a_child_has_one_of_its_own)
{
	int status;

	serve(generous);
	charge(3 * MIB);
	wait_for_calls(1);
	wait_until_idle();
	status = run_child(use_in_child);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%#x", (unsigned)status);
	cr_expect_eq(calls(), 1);
}
#endif

/* ---- A dump where it is crossed, if that is asked for ---- */

static char dump_path[512];

static void dump_at_high(void)
{
	char conf[640];

	fake_proc_begin();
	fake_proc_mkdir("/dump");
	fake_proc_path(dump_path, sizeof dump_path, "/dump");
	snprintf(conf, sizeof conf, "oom_dump:%s,oom_dump_high:true", dump_path);
	set(conf);
	snprintf(dump_path + strlen(dump_path), sizeof dump_path - strlen(dump_path),
	         "/oomreclaim.%d.high.1.stats.json", getpid());
}

Test(background, dumps_above_high, .fini = fake_proc_end)
{
	dump_at_high();
	serve(empty);
	charge(2 * MIB + 1);
	wait_for_calls(1);
	cr_expect(access(dump_path, F_OK) == 0);
}

/* It is started for something else. */
Test(background, dumps_nothing_below_high, .fini = fake_proc_end)
{
	dump_at_high();
	serve(empty);
	charge(2 * MIB);
	background_wake();
	background_start_if_wanted();
	wait_for_calls(1);
	cr_expect(access(dump_path, F_OK) != 0);
}
