/* SPDX-License-Identifier: BSD-2-Clause */
/* Rounds over shrinkers: who loses how much. test_shrinker_bad.c and _lives.c have those
   that misbehave. */
#include <string.h>

#include "shrinkers.h"

TestSuite(shrink_walk, .init = support_init, .timeout = WATCHDOG_SECONDS);

/* a and b, as parts of their sum in per cent. */
static unsigned percent(const struct cache *a, const struct cache *b)
{
	return (unsigned)(100 * a->lost / (a->lost + b->lost));
}

/* ---- Fairness ---- */

Test(shrink_walk, equal_caches_lose_equal_parts_in_one_round)
{
	struct cache a = {.bytes = 64 * MIB}, b = {.bytes = 64 * MIB};

	cache_add(&a);
	cache_add(&b);
	cr_expect_eq(want(32 * MIB).claimed_bytes, 32 * MIB);
	cr_expect_eq(a.lost, 16 * MIB);
	cr_expect_eq(b.lost, 16 * MIB);
	cr_expect_eq(a.counts, 1, "one pass does");
}

Test(shrink_walk, and_in_many_small_ones)
{
	struct cache a = {.bytes = 64 * MIB}, b = {.bytes = 64 * MIB};

	cache_add_with(&a, 0, 2, 64 * KIB);
	cache_add(&b);
	for (int i = 0; i < 1000; i++)
		cr_assert_geq(want(8 * KIB).claimed_bytes, 8 * KIB);
	cr_expect_geq(percent(&a, &b), 45, "%u", percent(&a, &b));
	cr_expect_leq(percent(&a, &b), 55, "%u", percent(&a, &b));
}

Test(shrink_walk, one_that_always_gives_too_much_pays_no_more)
{
	struct cache a = {.bytes = 64 * MIB}, b = {.bytes = 64 * MIB};

	cache_add_with(&a, 0, 2, MIB);
	cache_add_with(&b, 0, 2, 4 * KIB);
	for (int i = 0; i < 200; i++)
		cr_assert_geq(want(100 * KIB).claimed_bytes, 100 * KIB);
	cr_expect_geq(percent(&a, &b), 45, "%u", percent(&a, &b));
	cr_expect_leq(percent(&a, &b), 55, "%u", percent(&a, &b));
}

static void costs_one_and_ten(size_t round_bytes, size_t batch)
{
	struct cache cheap = {.bytes = 1024 * MIB}, dear = {.bytes = 1024 * MIB};
	size_t rounds = 110 * MIB / (round_bytes > batch ? round_bytes : batch);

	cache_add_with(&cheap, 0, 1, batch);
	cache_add_with(&dear, 0, 10, batch);
	for (size_t i = 0; i < rounds; i++)
		cr_assert_geq(want(round_bytes).claimed_bytes, round_bytes);
	cr_expect_geq(cheap.lost / MIB, 9 * dear.lost / MIB, "%zu and %zu", cheap.lost, dear.lost);
	cr_expect_leq(cheap.lost / MIB, 11 * dear.lost / MIB, "%zu and %zu", cheap.lost, dear.lost);
}

Test(shrink_walk, costs_in_one_round)
{
	costs_one_and_ten(110 * MIB, 0);
}

Test(shrink_walk, costs_in_many_rounds)
{
	costs_one_and_ten(256 * KIB, 0);
}

Test(shrink_walk, costs_where_each_round_is_less_than_a_batch)
{
	costs_one_and_ten(16 * KIB, 128 * KIB);
}

/* ---- Who begins ---- */

Test(shrink_walk, each_begins_in_turn)
{
	static struct cache caches[] = {{.letter = 'A'}, {.letter = 'B'}, {.letter = 'C'}};

	for (size_t i = 0; i < ARRAY_SIZE(caches); i++) {
		caches[i].bytes = 64 * MIB;
		cache_add(&caches[i]);
	}
	for (int i = 0; i < 4; i++)
		want(3 * MIB);
	cr_expect_str_eq(fake_heap_trace(), "ABCfBCAfCABfABCf");
}

/* ---- Priorities, callbacks ---- */

static size_t note_and_give(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;

	cache->asked = control->bytes_wanted;
	fake_heap_note(cache->letter);
	return cache->bytes;
}

Test(shrink_walk, callbacks_come_first_within_a_priority)
{
	struct cache high = {.letter = 'H', .bytes = 4 * KIB}, one = {.letter = '1', .bytes = MIB},
		     two = {.letter = '2', .bytes = MIB}, plain = {.letter = 'P', .bytes = 1000},
		     late = {.letter = 'L', .bytes = 1000}, low = {.letter = 'l'};

	cache_add_with(&one, 5, 2, 0);
	oomreclaim_register("plain", 5, 0, note_and_give, &plain, NULL);
	cache_add_with(&two, 5, 2, 0);
	oomreclaim_register("low", 4, 0, note_and_give, &low, NULL);
	oomreclaim_register("late", 5, 0, note_and_give, &late, NULL);
	cache_add_with(&high, 6, 2, 0);
	want(4 * MIB);
	cr_expect_eq(strncmp(fake_heap_trace(), "HPL12", 5), 0, "%s", fake_heap_trace());
	cr_expect_eq(plain.asked, 4 * MIB - 4 * KIB);
	cr_expect_eq(late.asked, 4 * MIB - 4 * KIB - 1000);
	cr_expect_eq(low.asked, 4 * MIB - 4 * KIB - 2000 - 2 * MIB);
	cr_expect_eq(fake_heap_count('l'), 1);
}

Test(shrink_walk, a_lower_priority_is_left_alone_where_the_higher_one_does)
{
	struct cache high = {.bytes = MIB}, low = {.bytes = MIB};

	cache_add_with(&high, 1, 1000, 0);
	cache_add_with(&low, 0, 1, 0);
	want(MIB);
	cr_expect_eq(high.lost, MIB, "priorities are strict, whatever it costs");
	cr_expect_eq(low.counts, 0);
	want(MIB);
	cr_expect_eq(low.lost, MIB);
}

Test(shrink_walk, flags_choose_the_context)
{
	struct cache a = {.bytes = MIB};
	const struct oomreclaim_shrinker shrinker = {.name = "b",
	                                             .flags = OOMRECLAIM_CALLBACK_BACKGROUND,
	                                             .count = cache_count,
	                                             .scan = cache_scan,
	                                             .arg = &a,
	                                             .cost = 1};

	cr_assert_eq(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, NULL), 0);
	cr_expect_eq(want(MIB).claimed_bytes, 0);
	cr_expect_eq(a.counts, 0);
}

/* ---- All that there is ---- */

Test(shrink_walk, nothing_is_left_that_could_be_had)
{
	struct cache a = {.bytes = 100}, b = {.bytes = MIB}, c = {.bytes = 3};

	cache_add_with(&a, 0, 1000, MIB);
	cache_add_with(&b, 0, 1, 64 * KIB);
	cache_add(&c);
	cr_expect_eq(want(2 * MIB).claimed_bytes, MIB + 103);
	cr_expect_eq(want(2 * MIB).claimed_bytes, 0);
}

Test(shrink_walk, a_batch_is_what_one_call_is_asked_for)
{
	struct cache a = {.bytes = MIB};

	cache_add_with(&a, 0, 2, 64 * KIB);
	want(256 * KIB);
	cr_expect_eq(a.scans, 4);
	cr_expect_eq(a.asked, 64 * KIB);
	cr_expect_eq(a.lost, 256 * KIB);
}

/* ---- A thousand ---- */

/* What a round calls of so many, which asks for a part, or for more than there is. */
static unsigned calls_of(size_t count, size_t bytes_wanted, size_t batch)
{
	static struct cache many[1000];
	unsigned calls = 0;

	for (size_t i = 0; i < count; i++) {
		many[i] = (struct cache){.bytes = 64 * KIB};
		cache_add_with(&many[i], 0, 1 + (unsigned)i % 10, batch);
	}
	want(bytes_wanted);
	for (size_t i = 0; i < count; i++) {
		calls += many[i].counts + many[i].scans;
		cr_assert_eq(oomreclaim_unregister(many[i].handle), 0);
	}
	return calls;
}

Test(shrink_walk, a_round_is_linear_in_them)
{
	static const size_t batches[] = {0, 16 * KIB, MIB};

	for (size_t i = 0; i < ARRAY_SIZE(batches); i++) {
		size_t a_part = 32 * KIB, all = 128 * KIB;

		cr_expect_leq(calls_of(1000, 1000 * a_part, batches[i]),
		              2 * calls_of(500, 500 * a_part, batches[i]) + 10);
		cr_expect_leq(calls_of(1000, 1000 * all, batches[i]),
		              2 * calls_of(500, 500 * all, batches[i]) + 10);
		/* Five passes, and as many scans as there are batches. */
		cr_expect_leq(calls_of(1000, 1000 * all, batches[i]), 1000 * (5 + 5 + 4));
	}
	cr_expect_leq(calls_of(1000, 1, 0), 1000 + 1);
}

/* ---- One that can't now ---- */

Test(shrink_walk, one_that_stops_is_passed_over_and_its_part_is_due_later)
{
	struct cache locked = {.bytes = 64 * MIB, .is_locked = true}, other = {.bytes = 64 * MIB};
	struct oomreclaim_callback_stats stats;

	cache_add(&locked);
	cache_add(&other);
	cr_expect_eq(want(8 * MIB).claimed_bytes, 8 * MIB);
	cr_expect_eq(other.lost, 8 * MIB);
	cr_assert_eq(oomreclaim_callback_stats(locked.handle, &stats, sizeof stats), 0);
	cr_expect_eq(stats.bytes_deferred, 4 * MIB);
	cr_expect_geq(stats.stops, 1);
	cr_expect_eq(stats.bytes_claimed, 0);

	/* Asked again, for that as well. */
	locked.is_locked = false;
	other.lost = 0;
	want(8 * MIB);
	want(8 * MIB);
	cr_expect_geq(locked.lost, other.lost + 4 * MIB, "%zu and %zu", locked.lost, other.lost);
	cr_assert_eq(oomreclaim_callback_stats(locked.handle, &stats, sizeof stats), 0);
	cr_expect_lt(stats.bytes_deferred, MIB);
}

/* ---- Counters ---- */

Test(shrink_walk, counters)
{
	struct cache a = {.bytes = MIB};
	struct oomreclaim_callback_stats stats;

	cache_add(&a);
	want(256 * KIB);
	want(256 * KIB);
	cr_assert_eq(oomreclaim_callback_stats(a.handle, &stats, sizeof stats), 0);
	cr_expect_eq(stats.calls, 2);
	cr_expect_eq(stats.counts, 2);
	cr_expect_eq(stats.stops, 0);
	cr_expect_eq(stats.bytes_claimed, 512 * KIB);
	cr_expect_eq(stats.bytes_measured, 512 * KIB);
	cr_expect_eq(stats.bytes_counted, 768 * KIB, "before the second");
	cr_expect_eq(stats.bytes_deferred, 0);
}

/* ---- Cost ---- */

Test(shrink_walk, a_thousand_take_at_most_five_counts_each)
{
	enum { COUNT = 1000 };
	static struct cache caches[COUNT];
	size_t lost = 0;

	for (size_t i = 0; i < COUNT; i++) {
		caches[i].bytes = MIB;
		cache_add_with(&caches[i], i % 2 == 0 ? 0 : (int)i, 2, 64 * KIB);
	}
	/* Each round is less than a batch of one of them. */
	for (size_t i = 0; i < 10; i++)
		want(4 * KIB);
	want(COUNT * MIB);
	for (size_t i = 0; i < COUNT; i++) {
		lost += caches[i].lost;
		cr_expect_leq(caches[i].counts, 11 * 5);
		cr_expect_leq(caches[i].scans, MIB / (64 * KIB) + 1);
	}
	cr_expect_eq(lost, COUNT * MIB);
}

Test(shrink_walk, less_than_a_batch_goes_round)
{
	enum { COUNT = 100 };
	static struct cache caches[COUNT];

	for (size_t i = 0; i < COUNT; i++) {
		caches[i].bytes = MIB;
		cache_add_with(&caches[i], 0, 2, 64 * KIB);
	}
	for (size_t i = 0; i < COUNT; i++)
		cr_expect_eq(want(4 * KIB).claimed_bytes, 64 * KIB);
	for (size_t i = 0; i < COUNT; i++)
		cr_expect_eq(caches[i].scans, 1, "%zu: %u", i, caches[i].scans);
}
