/* SPDX-License-Identifier: BSD-2-Clause */
/* Registering and unregistering while callbacks run: from inside of them, on other threads, and
   over a fork. */
#include <criterion/criterion.h>
#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "fake_heap.h"
#include "reclaim/descent.h"
#include "reclaim/reclaim.h"
#include "reclaim/registry.h"
#include "support.h"

TestSuite(registry_walk, .init = support_init, .timeout = WATCHDOG_SECONDS);

static oomreclaim_handle a, b, c;
static int error = 4711;
static struct gate inside = GATE, go_on = GATE;
static atomic_bool has_returned;

/* One round of all callbacks, which leave their letters in the trace. */
static const char *round_trace(void)
{
	fake_heap_clear_trace();
	oomreclaim_reclaim(SIZE_MAX);
	return fake_heap_trace();
}

static size_t note_letter(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	fake_heap_note(*(const char *)arg);
	return 0;
}

/* Leaves its letter as well, and does what the test wants. */
static void (*from_inside)(void);

static size_t note_and_do(const struct oomreclaim_control *control, void *arg)
{
	note_letter(control, arg);
	from_inside();
	return 0;
}

static void add_three(oomreclaim_callback *function_of_b)
{
	oomreclaim_register("a", 3, 0, note_letter, "A", &a);
	oomreclaim_register("b", 2, 0, function_of_b, "B", &b);
	oomreclaim_register("c", 1, 0, note_letter, "C", &c);
}

static void register_two(void)
{
	if (error != 4711)
		return;
	error = oomreclaim_register("before", 9, 0, note_letter, "X", NULL);
	error += oomreclaim_register("behind", 0, 0, note_letter, "Y", NULL);
}

Test(registry_walk, registered_inside_is_called_in_the_next_round)
{
	from_inside = register_two;
	add_three(note_and_do);
	cr_expect_str_eq(round_trace(), "fpABCfp");
	cr_expect_eq(error, 0);
	cr_expect_str_eq(round_trace(), "fpXABCYfp");
}

static void unregister_self(void)
{
	error = oomreclaim_unregister(b);
}

Test(registry_walk, unregisters_itself)
{
	from_inside = unregister_self;
	add_three(note_and_do);
	cr_expect_str_eq(round_trace(), "fpABCfp");
	cr_expect_eq(error, 0);
	cr_expect_eq(oomreclaim_unregister(b), EINVAL);
	cr_expect_str_eq(round_trace(), "fpACfp");
}

static void unregister_next(void)
{
	error = oomreclaim_unregister(c);
}

Test(registry_walk, unregisters_the_next)
{
	from_inside = unregister_next;
	add_three(note_and_do);
	cr_expect_str_eq(round_trace(), "fpABfp");
	cr_expect_eq(error, 0);
}

static void unregister_former(void)
{
	error = oomreclaim_unregister(a);
}

Test(registry_walk, unregisters_the_former)
{
	from_inside = unregister_former;
	add_three(note_and_do);
	cr_expect_str_eq(round_trace(), "fpABCfp");
	cr_expect_eq(error, 0);
	cr_expect_str_eq(round_trace(), "fpBCfp");
}

static void unregister_all(void)
{
	error = oomreclaim_unregister(a) + oomreclaim_unregister(b) + oomreclaim_unregister(c);
}

Test(registry_walk, unregisters_everybody)
{
	from_inside = unregister_all;
	add_three(note_and_do);
	cr_expect_str_eq(round_trace(), "fpABfp");
	cr_expect_eq(error, 0);
	cr_expect_str_eq(round_trace(), "fpfp");
}

static void replace_self(void)
{
	oomreclaim_handle old = b;

	error = oomreclaim_register("b", 2, 0, note_letter, "b", &b);
	error += oomreclaim_unregister(old);
}

Test(registry_walk, replaces_itself)
{
	from_inside = replace_self;
	add_three(note_and_do);
	cr_expect_str_eq(round_trace(), "fpABCfp");
	cr_expect_eq(error, 0);
	cr_expect_str_eq(round_trace(), "fpAbCfp");
}

/* Unregistered, and still inside. */
static int stats_error;
static unsigned lines_inside;

static void unregister_and_look(void)
{
	struct oomreclaim_callback_stats stats;

	error = oomreclaim_unregister(b);
	stats_error = oomreclaim_callback_stats(b, &stats, sizeof stats);
	registry_lines(NULL, 0, &lines_inside);
}

Test(registry_walk, what_is_unregistered_is_gone_at_once)
{
	from_inside = unregister_and_look;
	add_three(note_and_do);
	round_trace();
	cr_expect_eq(error, 0);
	cr_expect_eq(stats_error, EINVAL);
	cr_expect_eq(lines_inside, 2);
}

static void look_at_own_stats(void)
{
	struct oomreclaim_callback_stats stats = {.calls = 99};

	error = oomreclaim_callback_stats(b, &stats, sizeof stats) + (int)stats.calls;
}

Test(registry_walk, stats_from_inside_have_the_calls_that_returned)
{
	from_inside = look_at_own_stats;
	add_three(note_and_do);
	round_trace();
	cr_expect_eq(error, 0);
	round_trace();
	cr_expect_eq(error, 1);
}

/* ---- Other threads ---- */

static void stay_inside(void)
{
	gate_open(&inside);
	gate_wait(&go_on);
	atomic_store(&has_returned, true);
}

static void make_round(void)
{
	oomreclaim_reclaim(SIZE_MAX);
}

static bool was_in_flight = true;

static void unregister_b(void)
{
	error = oomreclaim_unregister(b);
	was_in_flight = !atomic_load(&has_returned);
}

static struct thread in_call, remover;

/* Returns when the remover waits for the call. */
static void begin_wait(void)
{
	from_inside = stay_inside;
	add_three(note_and_do);
	thread_start(&in_call, make_round);
	gate_wait(&inside);
	thread_start(&remover, unregister_b);
	thread_wait_asleep(&remover);
}

Test(registry_walk, unregister_waits_for_a_call_in_flight)
{
	begin_wait();
	cr_expect_eq(oomreclaim_unregister(b), EINVAL, "already going");
	gate_open(&go_on);
	thread_join(&remover);
	thread_join(&in_call);
	cr_expect_eq(error, 0);
	cr_expect_not(was_in_flight);
	cr_expect_str_eq(round_trace(), "fpACfp");
}

Test(registry_walk, unregister_is_not_cancelled_in_the_wait)
{
	begin_wait();
	pthread_cancel(remover.id);
	gate_open(&go_on);
	thread_join(&remover);
	/* Else the call can't end: the list is locked for ever. */
	cr_assert_eq(error, 0);
	thread_join(&in_call);
	cr_expect_not(was_in_flight);
}

Test(registry_walk, unregister_of_another_does_not_wait)
{
	struct thread caller;

	from_inside = stay_inside;
	add_three(note_and_do);
	thread_start(&caller, make_round);
	gate_wait(&inside);
	cr_expect_eq(oomreclaim_unregister(a), 0);
	cr_expect_eq(oomreclaim_unregister(c), 0);
	gate_open(&go_on);
	thread_join(&caller);
	cr_expect_eq(fake_heap_count('C'), 0);
}

/* A background round and a direct one at the same time, which may stand on the same entry. */
static void make_background_round(void)
{
	const struct reclaim_request request = {.wanted_bytes = SIZE_MAX,
	                                        .constraint = "NONE",
	                                        .is_background = true};
	struct reclaim_progress progress;
	struct descent descent;

	descent_begin(&descent);
	reclaim_round(&request, &progress);
	descent_end(&descent);
}

Test(registry_walk, a_callback_is_never_called_twice_at_once)
{
	struct thread background, direct;

	from_inside = stay_inside;
	add_three(note_and_do);
	thread_start(&background, make_background_round);
	gate_wait(&inside);
	thread_start(&direct, make_round);
	/* It has found nothing, and waits for the other round before it asks again. */
	thread_wait_asleep(&direct);
	cr_expect_eq(fake_heap_count('A'), 2);
	cr_expect_eq(fake_heap_count('B'), 1);
	cr_expect_eq(fake_heap_count('C'), 1);
	gate_open(&go_on);
	thread_join(&direct);
	thread_join(&background);
	cr_expect_eq(fake_heap_count('A'), 3);
	cr_expect_eq(fake_heap_count('B'), 2);
	cr_expect_eq(fake_heap_count('C'), 3);
}

/* ---- fork() ---- */

static void child_unregisters(void)
{
	from_inside = NULL;
	/* In the child no call is in flight. */
	if (oomreclaim_unregister(b) != 0 || strcmp(round_trace(), "fpACfp") != 0)
		_exit(1);
	if (oomreclaim_unregister(a) != 0 || strcmp(round_trace(), "fpCfp") != 0)
		_exit(2);
}

Test(registry_walk, fork_while_another_thread_is_in_a_call)
{
	struct thread caller;
	int status;

	from_inside = stay_inside;
	add_three(note_and_do);
	thread_start(&caller, make_round);
	gate_wait(&inside);
	status = run_child(child_unregisters);
	gate_open(&go_on);
	thread_join(&caller);
	cr_expect_eq(status, 0, "wait status %#x", (unsigned)status);
}

static void unregister_and_stay(void)
{
	error = oomreclaim_unregister(b);
	stay_inside();
}

static void child_makes_a_round(void)
{
	from_inside = NULL;
	if (strcmp(round_trace(), "fpACfp") != 0)
		_exit(1);
}

Test(registry_walk, fork_while_an_unregistered_callback_is_running)
{
	struct thread caller;
	int status;

	from_inside = unregister_and_stay;
	add_three(note_and_do);
	thread_start(&caller, make_round);
	gate_wait(&inside);
	status = run_child(child_makes_a_round);
	gate_open(&go_on);
	thread_join(&caller);
	cr_expect_eq(status, 0, "wait status %#x", (unsigned)status);
}

static pid_t child;

static void fork_inside(void)
{
	if (child == 0)
		child = fork();
	if (child == 0 && oomreclaim_unregister(b) != 0)
		_exit(1);
}

Test(registry_walk, fork_by_the_callback_itself)
{
	const pid_t test = getpid();
	int status;

	from_inside = fork_inside;
	add_three(note_and_do);
	oomreclaim_reclaim(SIZE_MAX);
	if (getpid() != test)
		_exit(strcmp(round_trace(), "fpACfp") == 0 ? 0 : 2);
	cr_assert_gt(child, 0);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0, "wait status %#x", (unsigned)status);
	cr_expect_str_eq(round_trace(), "fpABCfp", "the parent keeps it");
}

/* ---- Memory ---- */

static size_t claim_all(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	return control->bytes_wanted;
}

/* Each of the ways in which an entry goes. */
static void come_and_go(void)
{
	oomreclaim_handle handle;

	from_inside = unregister_self;
	oomreclaim_register("b", 2, 0, note_and_do, "B", &b);
	oomreclaim_reclaim(SIZE_MAX);
	oomreclaim_register("plain", 0, 0, note_letter, "P", &handle);
	oomreclaim_unregister(handle);
	/* The walk is broken off here. */
	oomreclaim_register("all", 9, 0, claim_all, NULL, &handle);
	oomreclaim_reclaim(1);
	oomreclaim_unregister(handle);
}

Test(registry_walk, nothing_is_left_behind)
{
	/* An entry has more than 100 bytes. Sanitizers keep no such count; without one of them it
	   is exact. */
	enum { TIMES = 1000, SLACK = 50 * 1000 };
	size_t before;

	come_and_go();
	before = mallinfo2().uordblks;
	for (int i = 0; i < TIMES; i++)
		come_and_go();
	cr_expect_lt(mallinfo2().uordblks, before + SLACK);
}
