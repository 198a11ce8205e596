/* SPDX-License-Identifier: BSD-2-Clause */
/* fork() in the middle of a round. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "base/fork_gate.h"
#include "config/options.h"
#include "fake_heap.h"
#include "ladder/ladder.h"
#include "reclaim/reclaim.h"
#include "slow_round.h"
#include "support.h"

TestSuite(reclaim_fork, .init = support_init, .timeout = WATCHDOG_SECONDS);

static const struct heap_request request = {.size = 1000};
static struct thread other;

static void own_background(void)
{
	slow_owners = round_run(1000, now_ns() + FOR_EVER_NS, true);
}

static size_t healing(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	fake_heap_note('H');
	fake_heap_fail(0);
	return SLOW_BYTES;
}

/* The ladder of the child works: its callbacks are called, nobody is waited for. */
static void child_descends(void)
{
	options_apply("test", "wait_ms:3600000", &options, NULL);
	gate_open(&slow_go_on);
	fake_heap_clear_trace();
	fake_heap_fail(2);
	oomreclaim_register("healing", 3, 0, healing, NULL, NULL);
	if (ladder_descend(&request) != fake_heap_block)
		_exit(1);
	if (strcmp(fake_heap_trace(), "fapaHSLfa") != 0)
		_exit(2);
}

Test(reclaim_fork, fork_in_the_middle_of_a_round)
{
	int status;

	slow_begin();
	thread_start(&slow_joiner, slow_join);
	thread_wait_asleep(&slow_joiner);
	thread_wait_asleep(&slow_owner);
	status = run_child(child_descends);
	slow_end();
	thread_join(&slow_joiner);
	cr_expect_eq(status, 0, "wait status %#x", (unsigned)status);
	cr_expect_eq(slow_joiners.claimed_bytes, SLOW_BYTES, "the parent's round goes on");
}

Test(reclaim_fork, fork_in_the_middle_of_a_background_round)
{
	int status;

	slow_add();
	thread_start(&slow_owner, own_background);
	gate_wait(&slow_inside);
	thread_wait_asleep(&slow_owner);
	status = run_child(child_descends);
	slow_end();
	cr_expect_eq(status, 0, "wait status %#x", (unsigned)status);
}

static pid_t child = -1;
static struct thread in_child;

static size_t fork_once(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	fake_heap_note('F');
	if (child == -1)
		child = fork();
	return 0;
}

Test(reclaim_fork, fork_by_a_callback)
{
	const pid_t test = getpid();
	int status;

	oomreclaim_register("fork", 9, 0, fork_once, NULL, NULL);
	oomreclaim_register("last", 1, 0, slow_last, NULL, NULL);
	round_run(1000, now_ns() + FOR_EVER_NS, false);
	if (getpid() != test) {
		/* The round has ended in the child as well; then another one. */
		if (strcmp(fake_heap_trace(), "FLf") != 0)
			_exit(1);
		fake_heap_clear_trace();
		round_run(1000, now_ns() + FOR_EVER_NS, false);
		_exit(strcmp(fake_heap_trace(), "FLf") == 0 ? 0 : 2);
	}
	cr_assert_gt(child, 0);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0, "wait status %#x", (unsigned)status);
	cr_expect_str_eq(fake_heap_trace(), "FLf");
}

static void let_go_on_when_joined(void)
{
	gate_wait(&slow_inside);
	thread_wait_asleep(&slow_joiner);
	gate_open(&slow_go_on);
}

static void begin_when_inside(void)
{
	gate_wait(&slow_inside);
	slow_join();
}

static void try_to_join(void)
{
	slow_joiners = round_run(1000, now_ns(), false);
}

/* Forks while another thread waits for this round. */
static size_t fork_with_a_joiner(const struct oomreclaim_control *control, void *arg)
{
	slow_callback(control, arg);
	child = fork();
	return 0;
}

Test(reclaim_fork, those_who_wait_are_not_in_the_child)
{
	const pid_t test = getpid();
	int status;

	oomreclaim_register("fork", 9, 0, fork_with_a_joiner, NULL, NULL);
	oomreclaim_register("last", 1, 0, slow_last, NULL, NULL);
	thread_start(&slow_joiner, begin_when_inside);
	thread_start(&other, let_go_on_when_joined);
	round_run(1000, now_ns() + FOR_EVER_NS, false);
	if (getpid() != test)
		_exit(slow_wanted_from_last == 1000 ? 0 : 1);
	thread_join(&slow_joiner);
	thread_join(&other);
	cr_expect_eq(slow_wanted_from_last, 1000 + 5000, "they are in the parent");
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0, "wait status %#x", (unsigned)status);
}

/* The child goes on with the round, and it is still one thread at a time. */
static size_t fork_and_be_joined(const struct oomreclaim_control *control, void *arg)
{
	fork_once(control, arg);
	if (child == 0) {
		thread_start(&in_child, try_to_join);
		thread_join(&in_child);
	}
	return 0;
}

Test(reclaim_fork, one_round_in_the_child_as_well)
{
	const pid_t test = getpid();
	int status;

	oomreclaim_register("fork", 9, 0, fork_and_be_joined, NULL, NULL);
	oomreclaim_register("last", 1, 0, slow_last, NULL, NULL);
	round_run(1000, now_ns() + FOR_EVER_NS, false);
	if (getpid() != test)
		_exit(slow_joiners.has_timed_out && strcmp(slow_joiners.waited_for, "fork") == 0
		              ? 0
		              : 1);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0, "wait status %#x", (unsigned)status);
}

/* No fork is under way any more, for neither. */
static void begin_in_background(void)
{
	fork_gate_enter(FOR_EVER_NS);
	fork_gate_leave();
}

Test(reclaim_fork, callbacks_in_the_background_begin_again)
{
	cr_expect_eq(run_child(begin_in_background), 0);
	begin_in_background();
}
