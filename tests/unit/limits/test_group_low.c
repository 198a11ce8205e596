/* SPDX-License-Identifier: BSD-2-Clause */
/* memory.low: what is protected, by whose reclaim, and whose callbacks are asked then. */
#include <criterion/criterion.h>
#include <string.h>

#include "add_group.h"
#include "base/base.h"
#include "fake_heap.h"
#include "limits/group_low.h"
#include "reclaim/descent.h"
#include "reclaim/reclaim.h"
#include "support.h"

TestSuite(group_low, .init = support_init, .timeout = WATCHDOG_SECONDS);

static unsigned add(const char *name, unsigned parent, size_t bytes, size_t low)
{
	unsigned slot = add_charged_group(name, parent, bytes);

	group_set_low(slot, low);
	return slot;
}

Test(group_low, protected_bytes)
{
	const struct {
		struct group_protection is;
		size_t bytes;
	} rows[] = {
		/* usage, low; the parent's usage, protected; the siblings' within theirs */
		{{100, 0, 1000, 0, 0}, 0},
		{{100, 100, 1000, 0, 100}, 0},
		/* The parent has enough for all of them. */
		{{100, 60, 1000, 200, 200}, 60},
		{{100, 100, 1000, 200, 200}, 100},
		/* It has half. */
		{{100, 100, 1000, 100, 200}, 50},
		{{100, 60, 1000, 100, 200}, 30},
		/* What is left of it is shared by what they have beyond. */
		{{100, 60, 400, 300, 200}, 60 + 100 * 40 / 200},
		{{100, 0, 400, 300, 200}, 50},
		{{100, 0, 400, 400, 0}, 100},
		{{100, 0, 400, 800, 0}, 200},
		{{50, 60, 50, 300, 50}, 50},
		{{SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX}, SIZE_MAX},
		{{SIZE_MAX, 0, 1, SIZE_MAX, 0}, SIZE_MAX},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		cr_expect_eq(group_protected_bytes(&rows[i].is), rows[i].bytes, "row %zu: %zu", i,
		             group_protected_bytes(&rows[i].is));
}

Test(group_low, is_up_to_what_is_charged)
{
	unsigned none = add("none", 0, 100, 0), within, above;

	cr_expect_not(group_mark_protected(0, 0));
	within = add("within", 0, 100, 100);
	above = add("above", 0, 101, 100);
	cr_expect(group_mark_protected(0, 0));
	cr_expect(group_is_protected(within, 0));
	cr_expect_not(group_is_protected(above, 0));
	cr_expect_not(group_is_protected(none, 0));
	/* Of another reclaim nothing is known. */
	cr_expect_not(group_is_protected(within, 1));
	group_set_low(within, 99);
	group_set_low(above, 101);
	cr_expect(group_mark_protected(0, 2));
	cr_expect(group_is_protected(within, 0) && !group_is_protected(within, 2));
	cr_expect(group_is_protected(above, 2) && !group_is_protected(above, 0));
	group_set_low(above, 0);
	cr_expect_not(group_mark_protected(0, 2));
}

/* One without memory that asks for nothing is not protected by having none. */
Test(group_low, is_none_of_nothing)
{
	unsigned empty = add("empty", 0, 0, 0), with = add("with", 0, 0, 1);

	cr_expect(group_mark_protected(0, 0));
	cr_expect_not(group_is_protected(empty, 0));
	cr_expect(group_is_protected(with, 0));
}

Test(group_low, is_from_others_alone)
{
	unsigned tenant = add("tenant", 0, 0, 1000), query = add("query", tenant, 500, 500);
	unsigned other = add("other", tenant, 200, 0);

	cr_expect(group_mark_protected(0, 0));
	cr_expect(group_is_protected(tenant, 0) && group_is_protected(query, 0));
	/* What the parent has left is the others'. */
	cr_expect(group_is_protected(other, 0));
	/* By a reclaim of the tenant's itself. */
	cr_expect(group_mark_protected(tenant, 0));
	cr_expect_not(group_is_protected(tenant, 0));
	cr_expect(group_is_protected(query, 0));
	cr_expect_not(group_is_protected(other, 0));
	cr_expect(group_mark_protected(0, 0));
	cr_expect_not(group_mark_protected(query, 0));
	cr_expect_not(group_is_protected(query, 0));
}

Test(group_low, is_no_more_than_the_parents)
{
	unsigned tenant = add("tenant", 0, 0, 600), big = add("big", tenant, 1000, 1000);
	unsigned small = add("small", tenant, 10, 1000);

	cr_expect_not(group_mark_protected(0, 0));
	group_set_low(tenant, 1010);
	cr_expect(group_mark_protected(0, 0));
	cr_expect(group_is_protected(big, 0) && group_is_protected(small, 0));
}

/* What min protects low protects, and not the other way. */
Test(group_low, is_kept_by_min)
{
	unsigned low = add("low", 0, 100, 100), min = add("min", 0, 100, 0);

	group_set_min(min, 100);
	cr_expect(group_mark_protected(0, 1));
	cr_expect(group_is_protected(low, 1) && !group_is_kept(low, 1));
	cr_expect(group_is_protected(min, 1) && group_is_kept(min, 1));
	cr_expect_not(group_is_kept(min, 0));
	group_set_min(min, 99);
	cr_expect(group_mark_protected(0, 1));
	cr_expect_not(group_is_protected(min, 1) || group_is_kept(min, 1));
}

static size_t may_give(unsigned slot, unsigned in, enum group_keeps keeps)
{
	size_t bytes = SIZE_MAX;

	if (!group_begin_giving(in, keeps))
		return bytes;
	bytes = group_may_give(slot, in, keeps, 0);
	group_end_giving();
	return bytes;
}

Test(group_low, gives_what_is_above)
{
	unsigned tenant, query;

	tenant = add("tenant", 0, 0, 0);
	query = add("query", tenant, 100, 0);
	cr_expect_eq(may_give(query, 0, GROUP_KEEPS_LOW), SIZE_MAX);
	group_set_low(query, 70);
	group_set_min(query, 40);
	cr_expect_eq(may_give(query, tenant, GROUP_KEEPS_LOW), 30);
	cr_expect_eq(may_give(query, tenant, GROUP_KEEPS_MIN), 60);
	cr_expect_eq(may_give(query, tenant, GROUP_KEEPS_NONE), SIZE_MAX);
	/* Of itself it gives all; and its parent, beside the process, protects nothing. */
	cr_expect_eq(may_give(query, query, GROUP_KEEPS_LOW), SIZE_MAX);
	cr_expect_eq(may_give(query, 0, GROUP_KEEPS_LOW), SIZE_MAX);
	group_set_low(tenant, 100);
	cr_expect_eq(may_give(query, 0, GROUP_KEEPS_LOW), 0);
	cr_expect_eq(may_give(query, 0, GROUP_KEEPS_MIN), SIZE_MAX);
	/* The larger of the two. */
	group_set_min(query, 90);
	cr_expect_eq(may_give(query, tenant, GROUP_KEEPS_LOW), 10);
	group_set_min(query, 200);
	cr_expect_eq(may_give(query, tenant, GROUP_KEEPS_MIN), 0);
}

/* What the parent has of its own and what its child has are together above it, once. */
Test(group_low, leaves_an_ancestor_what_it_has)
{
	unsigned tenant = add("tenant", 0, 50, 0), query = add("query", tenant, 150, 0);

	group_set_min(tenant, 100);
	cr_assert(group_begin_giving(0, GROUP_KEEPS_MIN));
	cr_expect_eq(group_may_give(tenant, 0, GROUP_KEEPS_MIN, 0), 100);
	cr_expect_eq(group_may_give(query, 0, GROUP_KEEPS_MIN, 0), 75);
	group_uncharge(100, 50); /* the first arena of add() */
	cr_expect_eq(group_may_give(query, 0, GROUP_KEEPS_MIN, 0), 50);
	/* For a thread inside. */
	cr_expect_eq(group_may_give(tenant, 0, GROUP_KEEPS_MIN, query), SIZE_MAX);
	group_end_giving();
}

/* ---- Whose callbacks are asked ---- */

static size_t gives;

static size_t note_letter(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	fake_heap_note(*(const char *)arg);
	return *(const char *)arg >= 'a' ? gives : 10;
}

static size_t note_size(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	return 10;
}

static void register_in(unsigned slot, const char *letter, int priority)
{
	fake_heap_group = slot;
	oomreclaim_register(letter, priority, 0, note_letter, (void *)(uintptr_t)letter, NULL);
	fake_heap_group = 0;
}

static void register_shrinker_in(unsigned slot, const char *letter, int priority)
{
	const struct oomreclaim_shrinker shrinker = {.name = letter,
	                                             .priority = priority,
	                                             .count = note_size,
	                                             .scan = note_letter,
	                                             .arg = (void *)(uintptr_t)letter,
	                                             .cost = OOMRECLAIM_COST_DEFAULT};

	fake_heap_group = slot;
	cr_assert_eq(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, NULL), 0);
	fake_heap_group = 0;
}

static const char *run_round(unsigned in, bool is_background)
{
	const struct reclaim_request request = {.wanted_bytes = 1000,
	                                        .constraint = "NONE",
	                                        .in_group = in,
	                                        .is_background = is_background,
	                                        .deadline_ns = now_ns() + NSEC_PER_SEC};
	struct reclaim_progress progress;
	struct descent descent;

	fake_heap_clear_trace();
	descent_begin(&descent);
	reclaim_round(&request, &progress);
	descent_end(&descent);
	return fake_heap_trace();
}

Test(group_low, others_are_asked)
{
	unsigned tenant = add("tenant", 0, 0, 100), kept = add("kept", tenant, 100, 100);
	unsigned other = add("other", tenant, 100, 0);

	register_in(kept, "K", 9);
	register_in(other, "o", 8);
	register_in(0, "r", 7);
	gives = 1;
	cr_expect_str_eq(run_round(0, false), "orf");
	cr_expect_str_eq(run_round(0, true), "orf");
	cr_expect_str_eq(run_round(tenant, false), "of");
	cr_expect_str_eq(run_round(kept, false), "Kf");
	/* They have nothing: it is asked after all, and they once. */
	gives = 0;
	cr_expect_str_eq(run_round(0, false), "orKf");
	cr_expect_str_eq(run_round(tenant, false), "oKf");
	/* It has more than that. */
	gives = 1;
	cr_expect(group_charge(101, 1));
	cr_expect_str_eq(run_round(0, false), "Korf");
}

/* Even where others have nothing; and in its own reclaim as any other. */
Test(group_low, kept_are_never_asked)
{
	unsigned kept = add("kept", 0, 100, 0), low = add("low", 0, 100, 100);

	group_set_min(kept, 100);
	register_in(kept, "K", 9);
	register_in(low, "o", 8);
	gives = 0;
	cr_expect_str_eq(run_round(0, false), "of");
	cr_expect_str_eq(run_round(0, true), "of");
	cr_expect_str_eq(run_round(kept, false), "Kf");
	group_set_min(kept, 99);
	cr_expect_str_eq(run_round(0, false), "Kf");
}

Test(group_low, shrinkers_of_others_are_asked)
{
	unsigned kept = add("kept", 0, 100, 100), other = add("other", 0, 100, 0);

	register_shrinker_in(kept, "K", 9);
	register_shrinker_in(other, "o", 9);
	gives = 1;
	cr_expect_null(strchr(run_round(0, false), 'K'));
	cr_expect_not_null(strchr(fake_heap_trace(), 'o'));
	gives = 0;
	cr_expect_not_null(strchr(run_round(0, false), 'K'));
}

/* Wherever they stand among them. */
Test(group_low, shrinkers_behind_others_are_not_forgotten)
{
	unsigned kept = add("kept", 0, 100, 100), other = add("other", 0, 100, 0);

	register_shrinker_in(other, "o", 9);
	register_shrinker_in(kept, "K", 9);
	gives = 1;
	cr_expect_null(strchr(run_round(0, false), 'K'));
	gives = 0;
	cr_expect_not_null(strchr(run_round(0, false), 'K'));
}
