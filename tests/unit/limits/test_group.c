/* SPDX-License-Identifier: BSD-2-Clause */
/* The tree of groups, and what is charged in it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "add_group.h"
#include "limits/group_inside.h"
#include "protect_table.h"
#include "support.h"

TestSuite(group, .init = support_init, .timeout = WATCHDOG_SECONDS);

/* Two arenas, of jemalloc's numbers. */
enum { ONE = 100, TWO = 101 };

static bool take(unsigned arena, size_t bytes)
{
	bool is_charged = group_charge(arena, bytes);

	if (is_charged)
		group_commit_charge(arena, bytes);
	return is_charged;
}

static size_t peak(unsigned slot)
{
	struct oomreclaim_group_stats stats;

	group_stats(slot, &stats);
	return stats.peak;
}

static size_t own(unsigned slot)
{
	struct oomreclaim_group_stats stats;

	group_stats(slot, &stats);
	return stats.own;
}

Test(group, a_handle_is_used_once)
{
	unsigned slot = add_group("a", 0);
	oomreclaim_group first = group_handle(slot), handle = first;

	cr_expect_eq(group_find(first), slot);
	for (unsigned i = 0; i < 3 * GROUP_SLOTS; i++) {
		remove_group(slot);
		cr_expect_eq(group_find(handle), 0);
		slot = add_group("a", 0);
		handle = group_handle(slot);
		cr_expect_neq(handle, first);
	}
	cr_expect_eq(group_find(first), 0);
	cr_expect_eq(group_find(OOMRECLAIM_GROUP_ROOT), 0);
	cr_expect_eq(group_find(UINT64_MAX), 0);
}

/* In the nearest group that lets it, the one where it is made included. */
Test(group, where_a_thread_begins)
{
	unsigned a = add_group("a", 0), b = add_group("b", a), c = add_group("c", b);

	cr_expect_eq(group_inherited(0), 0);
	cr_expect_eq(group_inherited(c), 0);
	group_set_inherit(a, true);
	group_set_cancel_reserve(c, true);
	cr_expect_eq(group_inherited(c), a);
	cr_expect_eq(group_inherited(a), a);
	group_set_inherit(c, true);
	cr_expect_eq(group_inherited(c), c);
	cr_expect_eq(group_inherited(b), a);
	group_set_inherit(c, false);
	cr_expect_not(group_has_inherit(c));
	group_set_inherit(a, false);
	cr_expect_eq(group_inherited(c), 0);
	cr_expect(group_has_cancel_reserve(c));
	remove_group(c);
}

Test(group, is_within_its_ancestors)
{
	unsigned a = add_group("a", 0), b = add_group("b", a), c = add_group("c", b),
		 other = add_group("other", 0);

	cr_expect(group_is_within(c, a) && group_is_within(c, b) && group_is_within(c, c));
	cr_expect(group_is_within(c, 0) && group_is_within(0, 0));
	cr_expect_not(group_is_within(a, c));
	cr_expect_not(group_is_within(other, a));
	cr_expect_not(group_is_within(0, a));
}

Test(group, is_not_deeper_than_16)
{
	unsigned slot = 0;

	for (unsigned i = 0; i < OOMRECLAIM_GROUP_DEPTH_MAX; i++)
		slot = add_group("deep", slot);
	group_lock();
	cr_expect_eq(group_add("deeper", slot), -EMLINK);
	group_unlock();
}

Test(group, is_charged_with_its_ancestors)
{
	unsigned parent = add_group("parent", 0), child = add_group("child", parent);

	group_charge_arena_to(ONE, child);
	group_charge_arena_to(TWO, parent);
	cr_expect(group_charge(ONE, 1000) && group_charge(TWO, 10));
	cr_expect_eq(group_charged(child), 1000);
	cr_expect_eq(own(child), 1000);
	cr_expect_eq(group_charged(parent), 1010);
	cr_expect_eq(own(parent), 10);
	group_uncharge(ONE, 400);
	cr_expect_eq(group_charged(child), 600);
	cr_expect_eq(group_charged(parent), 610);
	/* Of arenas that are no group's nothing is counted. */
	cr_expect(group_charge(ONE + 5, SIZE_MAX));
	group_uncharge(ONE + 5, 1);
}

/* Wherever the pages are charged by then: an arena without blocks goes to another group. */
Test(group, an_arena_is_empty_when_all_is_uncharged)
{
	unsigned slot = add_group("group", 0);

	group_charge_arena_to(ONE, slot);
	cr_expect(group_arena_is_empty(ONE));
	group_set_max(slot, 1000);
	cr_expect(group_charge(ONE, 1000) && !group_charge(ONE, 1));
	cr_expect_not(group_arena_is_empty(ONE));
	group_uncharge(ONE, 400);
	group_charge_arena_to(ONE, 0);
	cr_expect_not(group_arena_is_empty(ONE));
	cr_expect(group_charge(ONE, 100));
	group_uncharge(ONE, 700);
	cr_expect(group_arena_is_empty(ONE));
}

Test(group, meets_the_max_of_any_ancestor)
{
	unsigned parent = add_group("parent", 0), child = add_group("child", parent);
	struct oomreclaim_group_stats stats;

	group_charge_arena_to(ONE, child);
	group_set_max(parent, 1000);
	cr_expect(take(ONE, 1000));
	cr_expect_not(group_charge(ONE, 1));
	cr_expect_eq(group_refuser(), parent);
	/* Nothing of it is left with the child. */
	cr_expect_eq(group_charged(child), 1000);
	cr_expect_eq(own(child), 1000);
	group_set_max(child, 900);
	cr_expect_not(group_charge(ONE, 1));
	cr_expect_eq(group_refuser(), child);
	cr_expect_eq(group_excess(child), 100);
	cr_expect_eq(group_excess(parent), 0);
	cr_expect_not(group_charge(ONE, SIZE_MAX));
	group_stats(parent, &stats);
	cr_expect_eq(stats.max_met, 1);
	cr_expect_eq(stats.peak, 1000);
	group_stats(child, &stats);
	cr_expect_eq(stats.max_met, 2);
}

/* Whoever refuses it: an ancestor, or the budget or the system behind all of them. */
Test(group, has_no_peak_of_what_was_refused)
{
	unsigned parent = add_group("parent", 0), child = add_group("child", parent);

	group_charge_arena_to(ONE, child);
	group_set_max(parent, 1000);
	cr_expect(take(ONE, 600));
	cr_expect_not(take(ONE, 401));
	cr_expect_eq(peak(child), 600);
	cr_expect(group_charge(ONE, 400));
	group_cancel_charge(ONE, 400);
	cr_expect_eq(peak(child), 600);
	cr_expect_eq(peak(parent), 600);
	cr_expect(take(ONE, 400));
	group_uncharge(ONE, 1000);
	cr_expect_eq(peak(child), 1000);
	cr_expect_eq(peak(parent), 1000);
}

Test(group, leaves_its_charge_to_the_parent)
{
	unsigned parent = add_group("parent", 0), child = add_group("child", parent);

	group_charge_arena_to(ONE, child);
	cr_expect(group_charge(ONE, 1000));
	group_charge_arena_to(ONE, parent);
	remove_group(child);
	cr_expect_eq(group_charged(parent), 1000);
	cr_expect_eq(own(parent), 1000);
	group_uncharge(ONE, 1000);
	cr_expect_eq(group_charged(parent), 0);
	cr_expect_eq(own(parent), 0);
	group_charge_arena_to(ONE, 0);
}

Test(group, is_busy_with_threads_and_children)
{
	unsigned parent = add_group("parent", 0), child = add_group("child", parent);
	oomreclaim_group handle = group_handle(child);

	group_lock();
	cr_expect(group_is_busy(parent));
	group_unlock();
	cr_expect(group_try_enter(child, handle));
	group_lock();
	cr_expect(group_is_busy(child));
	group_unlock();
	group_leave(child);
	remove_group(child);
	cr_expect_not(group_try_enter(child, handle));
	remove_group(parent);
	/* Who was refused is not counted in the next one. */
	child = add_group("next", 0);
	cr_expect_not(group_try_enter(child, handle));
	remove_group(child);
}

Test(group, has_one_thread_in_a_child_of_fork)
{
	unsigned a = add_group("a", 0), b = add_group("b", 0);
	struct oomreclaim_group_stats stats;

	for (unsigned i = 0; i < 3; i++)
		cr_expect(group_try_enter(a, group_handle(a)) &&
		          group_try_enter(b, group_handle(b)));
	group_fork_child_in(b);
	group_stats(a, &stats);
	cr_expect_eq(stats.threads, 0);
	group_stats(b, &stats);
	cr_expect_eq(stats.threads, 1);
}

/* It was on its way in while the group ended, and is in the parent alone. */
Test(group, has_no_thread_in_a_child_where_one_was_refused)
{
	unsigned a = add_group("a", 0);

	remove_group(a);
	atomic_fetch_add(&groups[a].threads, 1);
	group_fork_child_in(0);
	cr_expect_eq(groups[a].threads, GROUP_GONE);
}

/* A thread that was charging is in the parent: what it would have made of the charge nobody
   knows. */
Test(group, has_what_was_committed_in_a_child)
{
	unsigned parent = add_group("parent", 0), child = add_group("child", parent);

	group_charge_arena_to(ONE, child);
	group_charge_arena_to(TWO, parent);
	cr_assert(group_charge(ONE, 1000) && group_charge(TWO, 10));
	group_commit_charge(ONE, 1000);
	group_commit_charge(TWO, 10);
	group_uncharge(ONE, 300);
	cr_assert(group_charge(ONE, 50) && group_charge(TWO, 5));
	group_fork_child_in(0);
	cr_expect_eq(group_charged(child), 700);
	cr_expect_eq(own(child), 700);
	cr_expect_eq(group_charged(parent), 710);
	cr_expect_eq(own(parent), 10);
	group_uncharge(ONE, 700);
	cr_expect(group_arena_is_empty(ONE));
	cr_expect_eq(group_charged(parent), 10);
}

#define WORKERS 4
#define ROUNDS 20000

static void *charge_and_uncharge(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < ROUNDS; i++)
		if (group_charge(ONE, 10 + i % 100))
			group_uncharge(ONE, 10 + i % 100);
	return NULL;
}

static atomic_bool is_enough;

static bool pin(int priority)
{
	const struct sched_param param = {.sched_priority = priority};
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	return sched_setaffinity(0, sizeof set, &set) == 0 &&
	       pthread_setschedparam(pthread_self(), SCHED_FIFO, &param) == 0;
}

static void *charge_till_enough(void *arg)
{
	const struct sched_param param = {.sched_priority = 1};

	(void)arg;
	pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
	while (!is_enough)
		charge_and_uncharge(NULL);
	return NULL;
}

/* A thread that is in the middle of a charge gets no processor, unless the one that waits for it
   gives it up. */
Test(group, changes_hands_above_real_time_threads)
{
	unsigned parent = add_group("parent", 0);
	pthread_t thread;

	if (!pin(2))
		cr_skip_test("no real-time priority to be had");
	pthread_create(&thread, NULL, charge_till_enough, NULL);
	for (unsigned i = 0; i < 300; i++) {
		group_charge_arena_to(ONE, i % 2 == 0 ? parent : 0);
		usleep(100);
	}
	group_charge_arena_to(ONE, 0);
	is_enough = true;
	pthread_join(thread, NULL);
}

/* While it changes hands: each page goes back to the one that has it then. */
Test(group, charges_while_it_goes_to_the_parent)
{
	unsigned parent = add_group("parent", 0), child;
	pthread_t threads[WORKERS];

	group_set_max(parent, 250);
	/* An arena that has no group yet is not counted, and has no page. */
	group_charge_arena_to(ONE, parent);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, charge_and_uncharge, NULL);
	for (unsigned i = 0; i < 200; i++) {
		child = add_group("child", parent);
		group_charge_arena_to(ONE, child);
		sched_yield();
		group_charge_arena_to(ONE, parent);
		remove_group(child);
	}
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	cr_expect_eq(group_charged(parent), 0);
	cr_expect_eq(own(parent), 0);
}

/* ---- The group of an arena, while that group ends ---- */

static struct {
	unsigned parent, child;
} ending;

/* The reader has the arena's slot, and is about to read the handle. */
static void end_child(int signal)
{
	(void)signal;
	protect_table(PROT_READ | PROT_WRITE);
	group_charge_arena_to(ONE, ending.parent);
	remove_group(ending.child);
}

Test(group, ends_while_another_thread_looks_for_its_handle)
{
	const struct sigaction action = {.sa_handler = end_child};
	oomreclaim_group parent;

	ending.parent = add_group("parent", 0);
	ending.child = add_group("child", ending.parent);
	parent = group_handle(ending.parent);
	group_charge_arena_to(ONE, ending.child);
	cr_expect_eq(group_handle_of_arena(ONE), group_handle(ending.child));
	cr_assert_eq(sigaction(SIGSEGV, &action, NULL), 0);
	protect_table(PROT_NONE);
	cr_expect_eq(group_handle_of_arena(ONE), parent);
}
