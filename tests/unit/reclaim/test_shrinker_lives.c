/* SPDX-License-Identifier: BSD-2-Clause */
/* Shrinkers that come and go while they are walked, fork, or do not come back. */
#include <setjmp.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shrinkers.h"

TestSuite(shrinker_lives, .init = support_init, .timeout = WATCHDOG_SECONDS);

/* ---- Registering and unregistering ---- */

static oomreclaim_handle own;
static struct cache newcomer = {.bytes = MIB};

static size_t unregister_and_count(const struct oomreclaim_control *control, void *arg)
{
	cr_expect_eq(oomreclaim_unregister(own), 0);
	return cache_count(control, arg);
}

Test(shrinker_lives, count_unregisters_itself)
{
	struct cache a = {.bytes = MIB}, b = {.bytes = MIB};

	own = add(unregister_and_count, cache_scan, &a);
	cache_add(&b);
	cr_expect_eq(want(MIB).claimed_bytes, MIB);
	cr_expect_eq(a.scans, 0);
	cr_expect_eq(a.counts, 1);
	cr_expect_eq(registered(), 1);
	cr_expect_eq(b.lost, MIB);
}

Test(shrinker_lives, the_only_one_unregisters_itself)
{
	struct cache a = {.bytes = MIB};
	unsigned calls = 0;

	own = add(unregister_and_count, cache_scan, &a);
	oomreclaim_register("last", -1, 0, give_nothing, &calls, NULL);
	cr_expect_eq(want(MIB).claimed_bytes, 0);
	cr_expect_eq(registered(), 1);
	cr_expect_eq(calls, 1, "the walk goes on");
}

static size_t scan_and_unregister(const struct oomreclaim_control *control, void *arg)
{
	cr_expect_eq(oomreclaim_unregister(own), 0);
	return cache_scan(control, arg);
}

Test(shrinker_lives, scan_unregisters_itself)
{
	struct cache a = {.bytes = MIB}, b = {.bytes = MIB};

	own = add(cache_count, scan_and_unregister, &a);
	cache_add(&b);
	cr_expect_eq(want(2 * MIB).claimed_bytes, 2 * MIB);
	cr_expect_eq(a.scans, 1);
	cr_expect_eq(registered(), 1);
}

/* Between two calls of the same part as well. */
Test(shrinker_lives, scan_unregisters_itself_in_the_first_of_several_calls)
{
	struct cache a = {.bytes = MIB};
	struct oomreclaim_shrinker shrinker = good;

	shrinker.scan = scan_and_unregister;
	shrinker.batch = 64 * KIB;
	shrinker.arg = &a;
	cr_assert_eq(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, &own), 0);
	cr_expect_eq(want(MIB).claimed_bytes, 64 * KIB);
	cr_expect_eq(a.scans, 1, "%u", a.scans);
	cr_expect_eq(registered(), 0);
}

static size_t register_and_count(const struct oomreclaim_control *control, void *arg)
{
	if (newcomer.handle == 0)
		cache_add(&newcomer);
	return cache_count(control, arg);
}

Test(shrinker_lives, one_that_a_count_registers_is_walked_in_the_next_round)
{
	struct cache a = {.bytes = MIB};

	add(register_and_count, cache_scan, &a);
	cr_expect_eq(want(2 * MIB).claimed_bytes, MIB);
	cr_expect_eq(newcomer.counts, 0);
	cr_expect_eq(want(2 * MIB).claimed_bytes, MIB);
	cr_expect_eq(newcomer.lost, MIB);
}

/* ---- One thread at a time ---- */

static struct gate inside = GATE, go_on = GATE;
static struct thread background;

static void run_background(void)
{
	const struct reclaim_request request = {.wanted_bytes = MIB,
	                                        .constraint = "NONE",
	                                        .is_background = true,
	                                        .deadline_ns = now_ns() + 3600 * NSEC_PER_SEC};
	struct reclaim_progress progress;
	struct descent descent;

	descent_begin(&descent);
	reclaim_round(&request, &progress);
	descent_end(&descent);
}

static size_t slow_in_the_background(const struct oomreclaim_control *control, void *arg)
{
	if (!control->is_direct) {
		gate_open(&inside);
		gate_wait(&go_on);
	}
	return cache_scan(control, arg);
}

static size_t count_alone(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;

	/* Not while the other thread is in scan(). */
	if (control->is_direct && inside.is_open)
		cache->asked = SIZE_MAX;
	return cache_count(control, cache);
}

Test(shrinker_lives, one_that_another_thread_scans_is_left_out)
{
	struct cache slow = {.bytes = MIB}, other = {.bytes = 4 * MIB};

	add(count_alone, slow_in_the_background, &slow);
	thread_start(&background, run_background);
	gate_wait(&inside);
	cache_add(&other);
	cr_expect_eq(want(2 * MIB).claimed_bytes, 2 * MIB);
	cr_expect_eq(other.lost, 2 * MIB,
	             "the place of the group is being called, the others are not");
	cr_expect_eq(slow.asked, 0);
	gate_open(&go_on);
	thread_join(&background);
	cr_expect_eq(slow.lost, MIB);
}

/* ---- fork() ---- */

static pid_t child = -1;

static size_t fork_and_scan(const struct oomreclaim_control *control, void *arg)
{
	if (child == -1)
		child = fork();
	return cache_scan(control, arg);
}

static void expect_child(void)
{
	int status;

	cr_assert_gt(child, 0);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0, "wait status %#x", (unsigned)status);
}

/* In the child the walk goes on from its place, and both can be removed: nobody stands at them any
   more. */
static void walk_and_remove(struct cache *forks, struct cache *other)
{
	const pid_t test = getpid();
	struct reclaim_progress progress = want(4 * MIB);

	if (getpid() != test) {
		bool is_removed = oomreclaim_unregister(forks->handle) == 0 &&
		                  oomreclaim_unregister(other->handle) == 0;

		_exit(progress.claimed_bytes == 2 * MIB && is_removed &&
		                      want(MIB).claimed_bytes == 0
		              ? 0
		              : 1);
	}
	expect_child();
	cr_expect_eq(progress.claimed_bytes, 2 * MIB);
}

Test(shrinker_lives, fork_by_the_first)
{
	struct cache forks = {.bytes = MIB}, other = {.bytes = MIB};

	forks.handle = add(cache_count, fork_and_scan, &forks);
	cache_add(&other);
	walk_and_remove(&forks, &other);
}

Test(shrinker_lives, fork_by_the_second)
{
	struct cache forks = {.bytes = MIB}, other = {.bytes = MIB};

	cache_add(&other);
	forks.handle = add(cache_count, fork_and_scan, &forks);
	walk_and_remove(&forks, &other);
}

/* It removes the place that the walk goes on from, in the child. */
static struct cache place;

static size_t fork_and_remove(const struct oomreclaim_control *control, void *arg)
{
	if (child == -1) {
		child = fork();
		if (child == 0)
			oomreclaim_unregister(place.handle);
	}
	return cache_scan(control, arg);
}

Test(shrinker_lives, the_place_of_the_walk_is_removed_in_the_child)
{
	struct cache a = {.bytes = MIB};
	const pid_t test = getpid();
	unsigned calls = 0;

	place.bytes = MIB;
	cache_add(&place);
	add(cache_count, fork_and_remove, &a);
	oomreclaim_register("last", -1, 0, give_nothing, &calls, NULL);
	want(64 * MIB);
	if (getpid() != test)
		_exit(calls == 1 && registered() == 2 ? 0 : 1);
	expect_child();
}

/* ---- Those that do not come back ---- */

static jmp_buf out;
static bool jumps;

static size_t jump(const struct oomreclaim_control *control, void *arg)
{
	if (jumps)
		longjmp(out, 1);
	return cache_count(control, arg);
}

static size_t jump_from_scan(const struct oomreclaim_control *control, void *arg)
{
	if (jumps)
		longjmp(out, 1);
	return cache_scan(control, arg);
}

static unsigned releases;

static void release(void *memory)
{
	releases++;
	free(memory);
}

/* The walk goes on from the first one. */
static oomreclaim_handle add_first(void)
{
	static struct cache first = {.bytes = MIB};
	const struct registry_new shrinker = {.name = "first",
	                                      .function = cache_scan,
	                                      .arg = &first,
	                                      .shrinker = {.count = cache_count, .cost = 1}};

	return registry_add(malloc(registry_entry_bytes), &shrinker, release);
}

static void jump_out_of(oomreclaim_callback *count, oomreclaim_callback *scan)
{
	static struct cache a = {.bytes = MIB};
	static oomreclaim_handle handle, first;

	first = add_first();
	handle = add(count, scan, &a);
	jumps = true;
	if (setjmp(out) == 0) {
		want(4 * MIB);
		cr_assert_fail("it came back");
	}
	jumps = false;
	cr_expect_not(descent_is_open());
	cr_expect_not(reclaim_is_caller());
	cr_expect_gt(want(4 * MIB).claimed_bytes, 0, "the round is over");
	/* Nobody stands at them. */
	cr_expect_eq(oomreclaim_unregister(handle), 0);
	cr_expect_eq(oomreclaim_unregister(first), 0);
	cr_expect_eq(releases, 1);
	cr_expect_eq(registered(), 0);
	cr_expect_eq(want(MIB).claimed_bytes, 0);
}

Test(shrinker_lives, a_jump_out_of_count)
{
	jump_out_of(jump, cache_scan);
}

Test(shrinker_lives, a_jump_out_of_scan)
{
	jump_out_of(cache_count, jump_from_scan);
}
