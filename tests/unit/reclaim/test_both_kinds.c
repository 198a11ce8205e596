/* SPDX-License-Identifier: BSD-2-Clause */
/* A direct round and a background one at the same time, over the same callbacks. */
#include <criterion/criterion.h>
#include <errno.h>
#include <unistd.h>

#include "base/base.h"
#include "fake_heap.h"
#include "reclaim/reclaim.h"
#include "slow_round.h"
#include "support.h"

TestSuite(both_kinds, .init = support_init, .timeout = WATCHDOG_SECONDS);

static struct gate inside = GATE, go_on = GATE;
static struct thread background;

static struct reclaim_progress run(bool is_background)
{
	return round_run(1000, now_ns() + FOR_EVER_NS, is_background);
}

static void run_background(void)
{
	run(true);
}

/* ---- Left out, because the other round was in it ---- */

static size_t slow_in_the_background(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	if (control->is_direct) {
		fake_heap_freed(500);
		return 500;
	}
	gate_open(&inside);
	gate_wait(&go_on);
	return 0;
}

static bool is_over;

/* Has nothing, and takes so long that the other round is over. */
static size_t outlasts(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	if (!is_over) {
		gate_open(&go_on);
		thread_join(&background);
		is_over = true;
	}
	return 0;
}

Test(both_kinds, who_was_left_out_is_asked_in_the_end)
{
	cr_assert_eq(oomreclaim_register("slow", 2, 0, slow_in_the_background, NULL, NULL), 0);
	cr_assert_eq(oomreclaim_register("outlasts", 1, OOMRECLAIM_CALLBACK_DIRECT, outlasts, NULL,
	                                 NULL),
	             0);
	thread_start(&background, run_background);
	gate_wait(&inside);
	cr_expect_eq(run(false).claimed_bytes, 500);
}

static struct thread direct;
static struct reclaim_progress direct_progress;

static void run_directly(void)
{
	direct_progress = run(false);
}

/* That nothing came of the other round does not tell what comes of asking directly. */
Test(both_kinds, who_was_left_out_is_asked_after_waiting_in_vain)
{
	cr_assert_eq(oomreclaim_register("slow", 0, 0, slow_in_the_background, NULL, NULL), 0);
	thread_start(&background, run_background);
	gate_wait(&inside);
	thread_start(&direct, run_directly);
	thread_wait_asleep(&direct);
	gate_open(&go_on);
	thread_join(&background);
	thread_join(&direct);
	cr_expect_eq(direct_progress.claimed_bytes, 500);
}

/* ---- Each waits for the end of the other ---- */

static oomreclaim_handle direct_handle, background_handle;
static struct gate both_inside = GATE;
static int errors[2];

static size_t unregisters_background(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	gate_wait(&inside);
	gate_open(&both_inside);
	errors[0] = oomreclaim_unregister(background_handle);
	return 0;
}

static size_t unregisters_direct(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	gate_open(&inside);
	gate_wait(&both_inside);
	errors[1] = oomreclaim_unregister(direct_handle);
	return 0;
}

Test(both_kinds, unregister_each_other)
{
	cr_assert_eq(oomreclaim_register("d", 0, OOMRECLAIM_CALLBACK_DIRECT, unregisters_background,
	                                 NULL, &direct_handle),
	             0);
	cr_assert_eq(oomreclaim_register("b", 0, OOMRECLAIM_CALLBACK_BACKGROUND, unregisters_direct,
	                                 NULL, &background_handle),
	             0);
	thread_start(&background, run_background);
	run(false);
	thread_join(&background);
	/* Whoever came second could not wait. */
	cr_expect((errors[0] == 0 && errors[1] == EDEADLK) ||
	                  (errors[0] == EDEADLK && errors[1] == 0),
	          "%d and %d", errors[0], errors[1]);
	cr_expect_eq(oomreclaim_unregister(direct_handle), EINVAL);
	cr_expect_eq(oomreclaim_unregister(background_handle), EINVAL);
	cr_expect_eq(run(false).claimed_bytes, 0);
}

/* ThreadSanitizer starts no thread in the child of a process that has several. */
#ifndef __SANITIZE_THREAD__
static struct gate child_is_inside = GATE;
static int child_status = -1;
static bool is_in_child;

/* In the parent it waits for the background's callback; in the child it is the one that is waited
   for. */
static size_t waits_or_is_waited_for(const struct oomreclaim_control *control, void *arg)
{
	if (!is_in_child)
		return unregisters_background(control, arg);
	gate_open(&child_is_inside);
	thread_wait_asleep(&background);
	return 0;
}

static void child_unregisters_direct(void)
{
	is_in_child = true;
	/* It is the main thread now. */
	atomic_store(&background.tid, gettid());
	thread_start(&direct, run_directly);
	gate_wait(&child_is_inside);
	/* Who waited for this call has stayed behind. */
	_exit(oomreclaim_unregister(direct_handle));
}

static size_t forks_when_waited_for(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	gate_open(&inside);
	gate_wait(&both_inside);
	thread_wait_asleep(&direct);
	child_status = run_child(child_unregisters_direct);
	return 0;
}

Test(both_kinds, in_a_child_nobody_waits_for_who_has_forked)
{
	cr_assert_eq(oomreclaim_register("d", 0, OOMRECLAIM_CALLBACK_DIRECT, waits_or_is_waited_for,
	                                 NULL, &direct_handle),
	             0);
	cr_assert_eq(oomreclaim_register("b", 0, OOMRECLAIM_CALLBACK_BACKGROUND,
	                                 forks_when_waited_for, NULL, &background_handle),
	             0);
	thread_start(&background, run_background);
	thread_start(&direct, run_directly);
	thread_join(&background);
	thread_join(&direct);
	cr_expect_eq(child_status, 0, "wait status %#x", (unsigned)child_status);
	cr_expect_eq(errors[0], 0);
}
#endif
