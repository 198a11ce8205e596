/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads that wait for the ends of each other's calls: test_policy.c and test_registry*.c have the
   rest. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/base.h"
#include "kill/policy.h"
#include "reclaim/calls.h"
#include "reclaim/reclaim.h"
#include "reclaim/scope.h"
#include "support.h"

TestSuite(calls, .init = support_init, .timeout = WATCHDOG_SECONDS);

/* ---- A reclaim callback and the policy's ---- */

static struct gate in_policy = GATE, in_reclaim = GATE;
static oomreclaim_handle handle;
static int of_unregister, of_policy;

static size_t replaces_policy(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	gate_open(&in_reclaim);
	gate_wait(&in_policy);
	of_policy = oomreclaim_set_policy_callback(NULL, NULL);
	return 0;
}

static enum oomreclaim_policy unregisters(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)verdict;
	(void)arg;
	gate_open(&in_policy);
	gate_wait(&in_reclaim);
	of_unregister = oomreclaim_unregister(handle);
	return OOMRECLAIM_POLICY_RETURN;
}

static void reclaim_once(void)
{
	oomreclaim_reclaim(1);
}

static void decide_once(void)
{
	const struct heap_request request = {.size = 1};
	const struct oom_control control = {.request = &request};

	policy_decide(&control);
}

Test(calls, the_policy_s_and_a_reclaim_callback_remove_each_other)
{
	struct thread reclaimer = {0};

	oomreclaim_register("r", 0, 0, replaces_policy, NULL, &handle);
	oomreclaim_set_policy_callback(unregisters, NULL);
	thread_start(&reclaimer, reclaim_once);
	decide_once();
	thread_join(&reclaimer);
	/* Whichever came second could not wait. */
	cr_expect((of_policy == 0 && of_unregister == EDEADLK) ||
	                  (of_policy == EDEADLK && of_unregister == 0),
	          "%d and %d", of_policy, of_unregister);
	cr_expect_eq(oomreclaim_unregister(handle), EINVAL, "it is gone all the same");
	cr_expect_eq(oomreclaim_set_policy_callback(NULL, NULL), 0);
}

/* ---- Any number of them: each thread is in a call of its own, and waits for that of another
   ---- */

#define RING_MAX 4

static struct {
	unsigned count;
	/* What each waits for; 0: it goes on when it is told. */
	uint64_t first[RING_MAX], last[RING_MAX];
	struct thread threads[RING_MAX];
	struct call_under_way calls[RING_MAX];
	struct gate begun[RING_MAX], go_on[RING_MAX];
	int errors[RING_MAX];
	atomic_uint started;
} ring;

static void be_in_a_call(void)
{
	unsigned i = atomic_fetch_add(&ring.started, 1);

	calls_begin(&ring.calls[i], i + 1);
	gate_open(&ring.begun[i]);
	gate_wait(&ring.go_on[i]);
	if (ring.first[i] != 0)
		ring.errors[i] = calls_wait(ring.first[i], ring.last[i]);
	calls_end(&ring.calls[i]);
}

static void begin_ring(unsigned count)
{
	ring.count = count;
	for (unsigned i = 0; i < count; i++) {
		ring.begun[i] = ring.go_on[i] = (struct gate)GATE;
		thread_start(&ring.threads[i], be_in_a_call);
		gate_wait(&ring.begun[i]);
	}
}

static void go_on(unsigned i, uint64_t first, uint64_t last)
{
	ring.first[i] = first;
	ring.last[i] = last;
	gate_open(&ring.go_on[i]);
	if (first != 0)
		thread_wait_asleep(&ring.threads[i]);
}

static void end_ring(void)
{
	for (unsigned i = 0; i < ring.count; i++)
		thread_join(&ring.threads[i]);
}

Test(calls, a_circle_of_four)
{
	begin_ring(4);
	/* Call 1 is thread 0's, and so on. The last to come could not wait; the order does not
	   matter. */
	go_on(2, 4, 4);
	go_on(0, 2, 2);
	go_on(1, 3, 3);
	go_on(3, 1, 1);
	end_ring();
	cr_expect_eq(ring.errors[3], EDEADLK);
	cr_expect_eq(ring.errors[0], 0);
	cr_expect_eq(ring.errors[1], 0);
	cr_expect_eq(ring.errors[2], 0);
}

Test(calls, a_chain_is_no_circle)
{
	begin_ring(4);
	go_on(1, 1, 1);
	go_on(2, 2, 2);
	go_on(3, 1, 3);
	cr_expect_not(atomic_load(&ring.threads[3].has_ended));
	go_on(0, 0, 0);
	end_ring();
	for (unsigned i = 0; i < 4; i++)
		cr_expect_eq(ring.errors[i], 0, "%u", i);
}

Test(calls, one_of_several_that_are_waited_for_is_enough)
{
	begin_ring(3);
	go_on(2, 1, 1);
	/* Of 1 to 3 it is the third that waits for this one. */
	go_on(0, 2, 3);
	cr_expect(atomic_load(&ring.threads[0].has_ended));
	go_on(1, 0, 0);
	end_ring();
	cr_expect_eq(ring.errors[0], EDEADLK);
	cr_expect_eq(ring.errors[2], 0);
}

Test(calls, what_led_to_another_thread_need_not_lead_to_this_one)
{
	struct call_under_way own;

	begin_ring(2);
	calls_begin(&own, 9);
	go_on(0, 9, 9);
	cr_expect_eq(calls_wait(1, 1), EDEADLK);
	/* Thread 0 still waits, but not for thread 1. */
	go_on(1, 1, 1);
	cr_expect_not(atomic_load(&ring.threads[1].has_ended));
	calls_end(&own);
	end_ring();
	cr_expect_eq(ring.errors[0], 0);
	cr_expect_eq(ring.errors[1], 0);
}

Test(calls, outside_of_calls_nothing_is_a_circle)
{
	begin_ring(1);
	go_on(0, 0, 0);
	cr_expect_eq(calls_wait(1, 1), 0);
	end_ring();
}

Test(calls, its_own_is_not_waited_for)
{
	struct call_under_way call;

	calls_begin(&call, 7);
	cr_expect(calls_is_own(7));
	cr_expect_eq(calls_wait(1, 9), 0);
	calls_end(&call);
	cr_expect_not(calls_is_own(7));
	/* Again: it is not there. */
	calls_end(&call);
}

static void child_waits(void)
{
	struct call_under_way call;

	/* Thread 1 is not here to end, nor to be in anybody's way. */
	calls_begin(&call, 5);
	_exit(calls_wait(1, 2) == 0 && calls_is_own(5) ? 0 : 1);
}

Test(calls, fork_beside_those_who_wait)
{
	int status;

	begin_ring(2);
	go_on(1, 1, 1);
	status = run_child(child_waits);
	go_on(0, 0, 0);
	end_ring();
	cr_expect_eq(status, 0, "wait status %#x", (unsigned)status);
}

/* ---- What the parent's threads wait for is not known in the child ---- */

/* ThreadSanitizer ends a child of a threaded program that starts threads. */
#ifndef __SANITIZE_THREAD__

static atomic_int waited;

static void wait_for_seven(void)
{
	atomic_store(&waited, calls_wait(7, 7));
}

/* Twice, since the first broadcast takes the parent's waiter with it and the second waits for that
   to go. */
static void child_is_waited_for(void)
{
	struct thread waiter = {0};
	struct call_under_way call;

	/* Where it hangs it goes with the test. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < 2; i++) {
		atomic_store(&waited, 4711);
		calls_begin(&call, 7);
		thread_start(&waiter, wait_for_seven);
		thread_wait_asleep(&waiter);
		calls_end(&call);
		thread_join(&waiter);
		if (atomic_load(&waited) != 0)
			_exit(1);
	}
	_exit(0);
}

static struct gate scribbled = GATE;

static void scribble(void)
{
	volatile char frame[32 << 10];

	for (size_t i = 0; i < sizeof frame; i++)
		frame[i] = 0x11;
	gate_wait(&scribbled);
}

/* Its threads have the stacks of the parent's, on which these have noted what they wait for. */
static void child_has_threads_of_its_own(void)
{
	struct thread threads[2] = {{0}, {0}};

	for (int i = 0; i < 2; i++)
		thread_start(&threads[i], scribble);
	for (int i = 0; i < 2; i++)
		thread_wait_asleep(&threads[i]);
	_exit(calls_wait(1, 2) == 0 ? 0 : 1);
}

static int run_beside_waiting_threads(void (*child)(void))
{
	struct call_under_way call;
	int status;

	calls_begin(&call, 3);
	begin_ring(2);
	go_on(0, 3, 3);
	go_on(1, 3, 3);
	status = run_child(child);
	calls_end(&call);
	end_ring();
	return status;
}

Test(calls, a_child_s_waits_end)
{
	int status = run_beside_waiting_threads(child_is_waited_for);

	cr_expect_eq(status, 0, "wait status %#x", (unsigned)status);
}

Test(calls, a_child_forgets_who_waited)
{
	int status = run_beside_waiting_threads(child_has_threads_of_its_own);

	cr_expect_eq(status, 0, "wait status %#x", (unsigned)status);
}
#endif
