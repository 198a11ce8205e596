/* SPDX-License-Identifier: BSD-2-Clause */
/* Between fork() and our own threads: who waits for whom, and for how long. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "base/fork_gate.h"
#include "support.h"

#define FOR_EVER_NS (1000 * NSEC_PER_SEC)
#define SHORT_NS NSEC_PER_MSEC

/* Not support_init(): its handlers of fork() go through the gate as well. */
TestSuite(fork_gate, .timeout = WATCHDOG_SECONDS);

static atomic_bool is_inside, may_leave, has_left;

static uint64_t enter_ns = FOR_EVER_NS;

static void stay_inside(void)
{
	fork_gate_enter(enter_ns);
	atomic_store(&is_inside, true);
	while (!atomic_load(&may_leave))
		usleep(1000);
	atomic_store(&has_left, true);
	fork_gate_leave();
}

static struct thread inside, other;

static void start_inside(void)
{
	thread_start(&inside, stay_inside);
	while (!atomic_load(&is_inside))
		usleep(1000);
}

static void fork_patiently(void)
{
	fork_gate_prepare(FOR_EVER_NS);
	cr_expect(atomic_load(&has_left));
	fork_gate_parent();
}

Test(fork_gate, fork_waits)
{
	start_inside();
	thread_start(&other, fork_patiently);
	thread_wait_asleep(&other);
	atomic_store(&may_leave, true);
	thread_join(&other);
	thread_join(&inside);
}

Test(fork_gate, but_not_for_ever)
{
	start_inside();
	fork_gate_prepare(SHORT_NS);
	cr_expect_not(atomic_load(&has_left));
	fork_gate_parent();
	atomic_store(&may_leave, true);
	thread_join(&inside);
}

Test(fork_gate, none_begins_while_one_forks)
{
	fork_gate_prepare(FOR_EVER_NS);
	fork_gate_prepare(FOR_EVER_NS);
	atomic_store(&may_leave, true);
	thread_start(&inside, stay_inside);
	thread_wait_asleep(&inside);
	fork_gate_parent();
	thread_wait_asleep(&inside);
	cr_expect_not(atomic_load(&is_inside), "two were under way");
	fork_gate_parent();
	thread_join(&inside);
	cr_expect(atomic_load(&has_left));
}

Test(fork_gate, a_callback_that_forks_does_not_wait_for_itself)
{
	fork_gate_enter(FOR_EVER_NS);
	fork_gate_prepare(FOR_EVER_NS);
	fork_gate_parent();
	fork_gate_leave();
	fork_gate_prepare(FOR_EVER_NS);
	fork_gate_parent();
}

/* A signal handler that forks while fork() is under way. Its child goes on with the fork that was
   interrupted. */
static void end_both(void)
{
	fork_gate_child();
	atomic_store(&may_leave, true);
	thread_start(&other, stay_inside);
	thread_wait_asleep(&other);
	cr_expect_not(atomic_load(&is_inside));
	fork_gate_parent();
	thread_join(&other);
}

Test(fork_gate, a_fork_inside_of_another)
{
	int status;

	fork_gate_prepare(FOR_EVER_NS);
	fork_gate_prepare(FOR_EVER_NS);
	status = run_child(end_both);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%#x", (unsigned)status);
	fork_gate_parent();
	fork_gate_parent();
}

/* One that forks may wait for a thread that waits for this one. */
Test(fork_gate, one_begins_in_the_end)
{
	fork_gate_prepare(FOR_EVER_NS);
	enter_ns = SHORT_NS;
	atomic_store(&may_leave, true);
	thread_start(&inside, stay_inside);
	thread_join(&inside);
	cr_expect(atomic_load(&has_left));
	fork_gate_parent();
}

static void use_in_child(void)
{
	fork_gate_child();
	fork_gate_enter(FOR_EVER_NS);
	fork_gate_leave();
	fork_gate_prepare(FOR_EVER_NS);
	fork_gate_parent();
}

Test(fork_gate, nobody_is_inside_in_the_child)
{
	int status;

	start_inside();
	fork_gate_prepare(SHORT_NS);
	status = run_child(use_in_child);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%#x", (unsigned)status);
	fork_gate_parent();
	atomic_store(&may_leave, true);
	thread_join(&inside);
}
