/* SPDX-License-Identifier: BSD-2-Clause */
/* Which group is cancelled, and for how long it is dying. */
#include <criterion/criterion.h>
#include <string.h>

#include "add_group.h"
#include "base/base.h"
#include "limits/group_victim.h"
#include "support.h"

TestSuite(group_victim, .init = support_init, .timeout = WATCHDOG_SECONDS);

#define GRACE_NS ((uint64_t)1000)

static void function(oomreclaim_group group, void *arg)
{
	(void)group, (void)arg;
}

static unsigned add_job(const char *name, unsigned parent, size_t bytes)
{
	unsigned slot = add_charged_group(name, parent, bytes);

	group_set_cancel(group_handle(slot), function, NULL);
	return slot;
}

static unsigned arena_of(unsigned slot)
{
	unsigned arena = 100;

	while (group_of_arena(arena) != slot)
		arena++;
	return arena;
}

/* ---- Badness ---- */

Test(group_victim, badness)
{
	const size_t huge = SIZE_MAX;
	const struct {
		size_t bytes;
		int score_adj;
		size_t total;
		long points;
	} rows[] = {
		{0, 0, 1000000, GROUP_NEVER},
		{0, 1000, 1000000, GROUP_NEVER},
		{5000, 0, 1000000, 5000},
		{5000, 1, 1000000, 6000},
		{5000, 1000, 1000000, 1005000},
		{5000, -1, 1000000, 4000},
		{5000, -5, 1000000, 0},
		{5000, -999, 1000000, -994000},
		{5000, -1000, 1000000, GROUP_NEVER},
		{5000, -1000, 0, GROUP_NEVER},
		{5000, 1000, 999, 5000},
		{huge, 0, huge, (long)1 << 52},
		{huge, 1000, huge, ((long)1 << 52) + ((long)1 << 52) / 1000 * 1000},
		{1, -999, huge, 1 - 999 * (((long)1 << 52) / 1000)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		cr_expect_eq(group_badness(rows[i].bytes, rows[i].score_adj, rows[i].total),
		             rows[i].points, "row %zu", i);
}

/* ---- The choice ---- */

static struct group_victim victim;

static enum group_choice choose_with(unsigned in, size_t least, uint64_t seen_ns, uint64_t asked_ns)
{
	const struct group_search search = {.in = in,
	                                    .total_bytes = 1000000,
	                                    .least_bytes = least,
	                                    .deadline_ns = now_ns() + GRACE_NS,
	                                    .seen_ns = seen_ns,
	                                    .asked_ns = asked_ns};

	memset(&victim, 0, sizeof victim);
	return group_victim_choose(&search, &victim);
}

static enum group_choice choose_for(unsigned in, size_t least)
{
	uint64_t now = now_ns();

	return choose_with(in, least, now, now);
}

static enum group_choice choose(unsigned in)
{
	return choose_for(in, 0);
}

static void expect_chosen(unsigned in, unsigned slot)
{
	cr_expect_eq(choose(in), GROUP_CHOSEN);
	cr_expect_eq(victim.slot, slot, "%s", victim.name);
}

Test(group_victim, is_the_worst)
{
	unsigned tenant = add_group("tenant", 0), large, other;

	fake_clock_freeze();
	add_job("small", tenant, 1000);
	large = add_job("large", tenant, 3000);
	add_job("middle", tenant, 2000);
	other = add_job("other", 0, 5000);
	expect_chosen(tenant, large);
	cr_expect_eq(victim.bytes, 3000);
	cr_expect_eq(victim.score_adj, 0);
	cr_expect_str_eq(victim.name, "large");
	fake_clock_advance(GRACE_NS);
	/* Everywhere. */
	expect_chosen(0, other);
}

Test(group_victim, is_moved_by_its_score)
{
	unsigned small = add_job("small", 0, 1000), large = add_job("large", 0, 9000);

	fake_clock_freeze();
	group_set_score_adj(small, 9);
	expect_chosen(0, small);
	cr_expect_eq(victim.score_adj, 9);
	fake_clock_advance(GRACE_NS);
	group_set_score_adj(large, -1000);
	cr_expect_eq(choose(0), GROUP_NOBODY);
	group_set_score_adj(large, -999);
	expect_chosen(0, large);
}

Test(group_victim, is_one_that_can_be_told)
{
	unsigned job = add_charged_group("job", 0, 1000);

	cr_expect_not(group_may_cancel());
	cr_expect_eq(choose(0), GROUP_NOBODY);
	group_set_cancel(group_handle(job), function, NULL);
	cr_expect(group_may_cancel());
	group_set_cancel(group_handle(job), NULL, NULL);
	cr_expect_eq(choose(0), GROUP_NOBODY);
	group_set_cancel(group_handle(job), function, NULL);
	expect_chosen(0, job);
}

/* One that was destroyed before its function came: its slot is another's by now. */
Test(group_victim, is_not_the_one_before_it)
{
	unsigned slot = add_group("gone", 0), next;
	oomreclaim_group gone = group_handle(slot);

	remove_group(slot);
	cr_expect_not(group_set_cancel(gone, function, NULL));
	while ((next = add_group("next", 0)) != slot)
		remove_group(next);
	cr_expect_not(group_set_cancel(gone, function, NULL));
	cr_expect_not(group_may_cancel());
	cr_expect_eq(group_cancelled_with(next), 0);
	cr_expect(group_set_cancel(group_handle(next), function, NULL));
	cr_expect_eq(group_cancelled_with(next), next);
}

Test(group_victim, has_what_is_below_it_and_cannot_be_told)
{
	unsigned job = add_job("job", 0, 1000), part = add_charged_group("part", job, 2000);
	unsigned below = add_job("below", part, 2500), deep = add_charged_group("deep", below, 200);
	unsigned single = add_job("single", 0, 2900);

	fake_clock_freeze();
	expect_chosen(0, job);
	cr_expect_eq(victim.bytes, 3000);
	cr_expect_eq(group_cancelled_with(part), job);
	cr_expect_eq(group_cancelled_with(deep), below);
	cr_expect_eq(group_cancelled_with(0), 0);
	/* Those that are apart go on. */
	cr_expect_not(group_charge(arena_of(job), 1));
	cr_expect_eq(group_refuser(), job);
	cr_expect_not(group_charge(arena_of(part), 1));
	cr_expect_eq(group_refuser(), job);
	cr_expect_eq(group_charged(part), 4700);
	cr_expect(group_charge(arena_of(below), 1));
	cr_expect(group_charge(arena_of(deep), 1));
	cr_expect(group_charge(arena_of(single), 1));
	/* Both parts of it. */
	group_uncharge(arena_of(job), 1000);
	cr_expect(group_victim_is_dying(job));
	group_uncharge(arena_of(part), 1625);
	cr_expect_not(group_victim_is_dying(job));
	cr_expect(group_charge(arena_of(part), 1));
}

/* What is asked of a group is not taken from one above it. */
Test(group_victim, is_not_above_the_limit_that_was_met)
{
	unsigned job = add_job("job", 0, 1000), part = add_charged_group("part", job, 2000);

	cr_expect_eq(choose(part), GROUP_NOBODY);
	expect_chosen(job, job);
}

Test(group_victim, has_as_much_as_a_costly_request_wants)
{
	unsigned small = add_job("small", 0, 1000), large = add_job("large", 0, 3000);

	fake_clock_freeze();
	group_set_score_adj(small, 100);
	cr_expect_eq(choose_for(0, 3001), GROUP_NOBODY);
	cr_expect_eq(choose_for(0, 3000), GROUP_CHOSEN);
	cr_expect_eq(victim.slot, large);
}

/* ---- While one is dying ---- */

Test(group_victim, is_alone)
{
	unsigned tenant = add_group("tenant", 0), large, small, other;

	fake_clock_freeze();
	small = add_job("small", tenant, 1000);
	large = add_job("large", tenant, 3000);
	other = add_job("other", 0, 500);
	expect_chosen(tenant, large);
	cr_expect_eq(choose(tenant), GROUP_DYING);
	cr_expect_eq(victim.slot, large);
	cr_expect_eq(choose(0), GROUP_DYING);
	/* It is none of theirs. */
	expect_chosen(other, other);
	fake_clock_advance(GRACE_NS - 1);
	cr_expect(group_victim_is_dying(large));
	cr_expect_eq(choose(tenant), GROUP_DYING);
	fake_clock_advance(1);
	cr_expect_not(group_victim_is_dying(large));
	/* It is left out of account, and gets nothing all the same. */
	cr_expect(group_is_cancelled(large));
	expect_chosen(tenant, small);
	fake_clock_advance(GRACE_NS);
	cr_expect_eq(choose(tenant), GROUP_NOBODY);
}

Test(group_victim, ends_with_an_eighth_of_what_it_had)
{
	unsigned job = add_job("job", 0, 8000), arena = arena_of(job);

	fake_clock_freeze();
	expect_chosen(0, job);
	cr_expect_not(group_charge(arena, 1));
	cr_expect_eq(group_refuser(), job);
	group_uncharge(arena, 6999);
	cr_expect_eq(choose(0), GROUP_DYING);
	cr_expect_not(group_victim_try_lift(job));
	group_uncharge(arena, 1);
	/* Whoever looks first: there is memory now, and nobody is chosen. */
	cr_expect_eq(choose(0), GROUP_ENDED);
	cr_expect_not(group_is_cancelled(job));
	cr_expect(group_charge(arena, 1));
	/* As any other. */
	expect_chosen(0, job);
	group_uncharge(arena, 901);
	cr_expect(group_victim_try_lift(job));
	cr_expect(group_charge(arena, 1));
}

/* Behind its time it is lifted as well. */
Test(group_victim, ends_late)
{
	unsigned job = add_job("job", 0, 8000);

	fake_clock_freeze();
	expect_chosen(0, job);
	fake_clock_advance(GRACE_NS);
	cr_expect_eq(choose(0), GROUP_NOBODY);
	group_uncharge(arena_of(job), 8000);
	cr_expect_eq(choose(0), GROUP_ENDED);
	cr_expect_not(group_is_cancelled(job));
}

static enum group_choice choose_since(unsigned in, uint64_t seen_ns, uint64_t asked_ns)
{
	return choose_with(in, 0, seen_ns, asked_ns);
}

static void destroy(unsigned slot)
{
	group_charge_arena_to(arena_of(slot), group_parent(slot));
	remove_group(slot);
}

/* A request that was refused before that has not tried with what it gave. */
Test(group_victim, is_none_where_one_has_just_ended)
{
	unsigned tenant = add_group("tenant", 0), job, other;
	uint64_t began;

	fake_clock_freeze();
	job = add_job("job", tenant, 8000);
	other = add_job("other", 0, 500);
	expect_chosen(tenant, job);
	began = now_ns();
	fake_clock_advance(1);
	destroy(job);
	job = add_job("next", tenant, 1000);
	cr_expect_eq(choose_since(tenant, began, UINT64_MAX), GROUP_AGAIN);
	cr_expect_eq(choose_since(0, began, UINT64_MAX), GROUP_AGAIN);
	/* It gave nothing to this one. */
	cr_expect_eq(choose_since(other, began, began), GROUP_CHOSEN);
	group_set_cancel(group_handle(other), NULL, NULL);
	cr_expect_eq(choose_since(tenant, began + 1, began + 1), GROUP_CHOSEN);
	fake_clock_advance(1);
	/* Whatever it was that ended it. */
	group_set_cancel(group_handle(job), function, NULL);
	cr_expect_eq(choose_since(tenant, began + 1, began), GROUP_AGAIN);
	cr_expect_eq(choose_since(tenant, began + 2, began + 2), GROUP_CHOSEN);
	fake_clock_advance(1);
	group_uncharge(arena_of(job), 1000);
	cr_expect(group_victim_try_lift(job));
	cr_expect(group_charge(arena_of(job), 1000));
	cr_expect_eq(choose_since(tenant, began + 2, UINT64_MAX), GROUP_AGAIN);
}

/* The end of one that was not cancelled, while the thread waited for the lock. */
Test(group_victim, is_none_where_any_is_just_destroyed)
{
	unsigned tenant = add_group("tenant", 0), job, query;
	uint64_t began;

	fake_clock_freeze();
	job = add_job("job", tenant, 1000);
	query = add_charged_group("query", tenant, 9000);
	began = now_ns();
	fake_clock_advance(1);
	destroy(query);
	cr_expect_eq(choose_since(tenant, began, began), GROUP_AGAIN);
	/* It was gone when the thread came, which may have tried since. */
	cr_expect_eq(choose_since(tenant, began, began + 1), GROUP_CHOSEN);
	cr_expect_eq(victim.slot, job);
}

Test(group_victim, ends_with_a_new_function)
{
	unsigned job = add_job("job", 0, 8000);
	struct group_untold untold;

	expect_chosen(0, job);
	group_set_cancel(group_handle(job), function, NULL);
	cr_expect_not(group_is_cancelled(job));
	group_lock();
	cr_expect_not(group_victim_next_untold(&untold));
	group_unlock();
}

Test(group_victim, is_gone)
{
	unsigned job = add_job("job", 0, 8000);

	expect_chosen(0, job);
	destroy(job);
	cr_expect_not(group_victim_is_dying(job));
	cr_expect_eq(choose(0), GROUP_NOBODY);
	/* The next in its place begins anew. */
	while (group_handle(job) == 0)
		add_group("next", 0);
	cr_expect_not(group_is_cancelled(job));
	cr_expect_eq(group_cancelled_with(job), 0);
}

Test(group_victim, is_told_once)
{
	static int argument;
	unsigned job = add_charged_group("job", 0, 8000);
	struct group_untold untold;
	struct oomreclaim_group_stats stats;

	fake_clock_freeze();
	group_set_cancel(group_handle(job), function, &argument);
	group_lock();
	cr_expect_not(group_victim_next_untold(&untold));
	group_unlock();
	expect_chosen(0, job);
	group_lock();
	cr_expect(group_victim_next_untold(&untold));
	cr_expect_eq(untold.handle, group_handle(job));
	cr_expect(untold.function == function && untold.arg == &argument);
	cr_expect_not(group_victim_next_untold(&untold));
	group_unlock();
	group_stats(job, &stats);
	cr_expect_eq(stats.cancels, 1);
}

Test(group_victim, is_spared_where_it_cannot_fail)
{
	unsigned job = add_job("job", 0, 8000);

	expect_chosen(0, job);
	cr_expect_not(group_spare(true));
	cr_expect(group_charge(arena_of(job), 1));
	group_set_max(job, 8001);
	cr_expect_not(group_charge(arena_of(job), 1));
	cr_expect(group_spare(false));
	group_set_max(job, SIZE_MAX);
	cr_expect_not(group_charge(arena_of(job), 1));
}

/* In a child of fork() nobody has been told, and nobody is to end. */
Test(group_victim, is_the_parents)
{
	unsigned job = add_job("job", 0, 8000);
	struct group_untold untold;

	expect_chosen(0, job);
	group_fork_child_in(0);
	cr_expect_not(group_is_cancelled(job));
	group_lock();
	cr_expect_not(group_victim_next_untold(&untold));
	group_unlock();
	expect_chosen(0, job);
}

/* ---- Where the functions are ---- */

static void another(oomreclaim_group group, void *arg)
{
	(void)group, (void)arg;
}

Test(group_victim, has_its_function_looked_at)
{
	struct group_code code = {.slot = 0};
	unsigned first = add_job("first", 0, 1), second;

	add_group("without", 0);
	second = add_job("second", 0, 1);
	cr_expect(group_next_code(&code));
	cr_expect_eq(code.handle, group_handle(first));
	cr_expect(code.function == function && !code.is_in_file);
	cr_expect_str_eq(code.name, "first");
	group_note_file(&code);
	cr_expect(group_next_code(&code));
	cr_expect_eq(code.handle, group_handle(second));
	cr_expect_not(group_next_code(&code));
	/* What was noted is of that function alone. */
	code.slot = 0;
	cr_expect(group_next_code(&code) && code.is_in_file);
	group_set_cancel(group_handle(first), another, NULL);
	group_note_file(&code);
	code.slot = 0;
	cr_expect(group_next_code(&code) && !code.is_in_file);
}

/* ---- Threads ---- */

#define WORKERS 4
#define ROUNDS 2000

static atomic_uint chosen;

static void choose_and_give(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		const struct group_search search = {.deadline_ns = UINT64_MAX,
		                                    .seen_ns = UINT64_MAX,
		                                    .asked_ns = UINT64_MAX};
		struct group_victim one;
		unsigned slot;

		if (group_victim_choose(&search, &one) != GROUP_CHOSEN)
			continue;
		/* Nobody else is chosen before it has ended. */
		if (atomic_fetch_add(&chosen, 1) != 0)
			abort();
		slot = one.slot;
		if (!group_is_cancelled(slot))
			abort();
		atomic_fetch_sub(&chosen, 1);
		group_uncharge(arena_of(slot), one.bytes);
		while (!group_victim_try_lift(slot))
			;
		if (!group_charge(arena_of(slot), one.bytes))
			abort();
	}
}

Test(group_victim, is_one_at_a_time)
{
	static struct thread threads[WORKERS];

	for (unsigned i = 0; i < 5; i++)
		add_job("job", 0, 1000 + i);
	for (unsigned i = 0; i < WORKERS; i++)
		thread_start(&threads[i], choose_and_give);
	for (unsigned i = 0; i < WORKERS; i++)
		thread_join(&threads[i]);
}
