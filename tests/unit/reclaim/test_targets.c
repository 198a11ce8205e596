/* SPDX-License-Identifier: BSD-2-Clause */
/* Targets of caches that are registered, as oomreclaimd sets them. */
#include <stdatomic.h>
#include <unistd.h>

#include "background_log.h"
#include "budget_set.h"
#include "limits/budget.h"
#include "shrinkers.h"

static void init(void)
{
	support_init();
	fake_heap_evictable = 0;
	budget_set("limit:64M");
}

TestSuite(targets, .init = init, .timeout = WATCHDOG_SECONDS);

static size_t target(const struct cache *cache)
{
	return oomreclaim_cache_target(cache->handle);
}

/* What caches of that size are given where so much is left: an eighth of what is left is not theirs
   yet, and a margin stays. */
static size_t aim(size_t size_bytes, size_t headroom_bytes)
{
	size_t pool = size_bytes + headroom_bytes - headroom_bytes / 8;

	return pool - pool / 128;
}

static void wait_for_target(const struct cache *cache, size_t bytes)
{
	while (target(cache) != bytes)
		usleep(1000);
}

Test(targets, only_of_shrinkers_that_oomreclaimd_may_call)
{
	struct oomreclaim_shrinker shrinker = good;
	oomreclaim_handle plain, direct;
	unsigned calls = 0;

	shrinker.flags = OOMRECLAIM_CALLBACK_DIRECT;
	cr_assert_eq(oomreclaim_register("a", 0, 0, give_nothing, &calls, &plain), 0);
	cr_assert_eq(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, &direct), 0);
	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(oomreclaim_cache_target(plain), SIZE_MAX);
	cr_expect_eq(oomreclaim_cache_regret(plain, 1), EINVAL);
	cr_expect_eq(oomreclaim_cache_target(direct), SIZE_MAX);
	cr_expect_eq(oomreclaim_cache_regret(direct, 1), EINVAL);
	cr_expect_eq(oomreclaim_cache_target(4711), SIZE_MAX);
	cr_expect_eq(oomreclaim_cache_regret(4711, 1), EINVAL);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_eq(threads(), 0, "nobody needs it");
}

Test(targets, one_cache_may_have_what_is_left)
{
	struct cache cache = {.bytes = 32 * MIB};

	cr_assert(budget_take(40 * MIB));
	cache_add(&cache);
	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(target(&cache), SIZE_MAX);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	wait_for_thread();
	/* 24 MiB are left beside it. */
	wait_for_target(&cache, aim(32 * MIB, 24 * MIB));
	cr_expect_eq(cache.scans, 0);
	/* What is free in the heap is left as well, and what is above the limit is not. */
	fake_heap_evictable = 8 * MIB;
	wait_for_target(&cache, aim(32 * MIB, 32 * MIB));
	fake_heap_evictable = 0;
	budget_set_limit(32 * MIB);
	wait_for_target(&cache, aim(24 * MIB, 0));
	budget_set_limit(SIZE_MAX);
	wait_for_target(&cache, SIZE_MAX);
	cr_expect_eq(oomreclaim_unregister(cache.handle), 0);
	cr_expect_eq(target(&cache), SIZE_MAX);
}

/* A cache with a target: what it may have with what is left. */
static void add_with_target(struct cache *cache, size_t pool_bytes)
{
	size_t headroom = 64 * MIB - budget_charged();

	cache_add(cache);
	target(cache);
	wait_for_target(cache, aim(pool_bytes - headroom, headroom));
}

/* The heap's records grow with a cache. oomreclaimd would see that at its next look; a program can
   fail some ten thousand times until then. */
Test(targets, a_limit_that_is_met_counts_at_once)
{
	struct cache cache = {.bytes = 40 * MIB};

	cr_assert(budget_take(60 * MIB));
	add_with_target(&cache, 44 * MIB);
	cr_assert(budget_take(4 * MIB));
	cr_expect_eq(want(64 * KIB).claimed_bytes, 64 * KIB);
	cr_expect_eq(cache.bytes, 40 * MIB - 64 * KIB);
	cr_expect_eq(target(&cache), 40 * MIB - 64 * KIB - (40 * MIB - 64 * KIB) / 128);
}

static size_t give_a_mib(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	fake_heap_freed(MIB);
	return MIB;
}

/* The round ends before the cache is counted, which has grown since oomreclaimd has looked. */
Test(targets, a_round_that_did_not_count_sets_none)
{
	struct cache cache = {.bytes = 8 * MIB};

	cr_assert(budget_take(8 * MIB));
	add_with_target(&cache, 64 * MIB);
	cr_assert_eq(oomreclaim_register("first", 1, 0, give_a_mib, NULL, NULL), 0);
	cache.bytes = 60 * MIB;
	cr_assert(budget_take(56 * MIB));
	cr_expect_eq(want(64 * KIB).claimed_bytes, MIB);
	cr_expect_eq(cache.scans, 0);
	cr_expect_geq(target(&cache), 56 * MIB);
}

static size_t grow_when_counted(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;
	unsigned counts = cache->counts;

	while (cache->counts < counts + 2)
		usleep(1000);
	cache->bytes = 60 * MIB;
	cr_expect(budget_take(52 * MIB));
	return give_a_mib(control, NULL);
}

/* oomreclaimd has counted the cache in that round, and before it has grown. */
Test(targets, what_has_grown_since_it_was_counted_in_a_round)
{
	struct cache cache = {.bytes = 8 * MIB};

	cr_assert(budget_take(8 * MIB));
	add_with_target(&cache, 64 * MIB);
	cr_assert_eq(oomreclaim_register("first", 1, 0, grow_when_counted, &cache, NULL), 0);
	cr_expect_eq(want(64 * KIB).claimed_bytes, MIB);
	cr_expect_eq(cache.scans, 0);
	cr_expect_geq(target(&cache), 59 * MIB);
}

/* What it had before would be taken for what it has, beside the room that came of it. */
Test(targets, what_has_evicted_by_itself_and_was_not_counted_in_the_round)
{
	struct cache cache = {.bytes = 32 * MIB};

	cr_assert(budget_take(60 * MIB));
	add_with_target(&cache, 36 * MIB);
	cr_assert_eq(oomreclaim_register("first", 1, 0, give_a_mib, NULL, NULL), 0);
	cache.bytes = 8 * MIB;
	budget_uncharge(24 * MIB);
	cr_expect_eq(want(64 * KIB).claimed_bytes, MIB);
	cr_expect_eq(cache.scans, 0);
	cr_expect_leq(target(&cache), 37 * MIB);
}

static size_t count_30_mib(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	return 30 * MIB;
}

static size_t claim(const struct oomreclaim_control *control, void *arg)
{
	++*(unsigned *)arg;
	return control->bytes_wanted;
}

/* A cache claims what it does not give: the others have no less for that. */
Test(targets, what_the_heap_did_not_see_is_still_there)
{
	unsigned claims = 0;
	struct cache liar = {.handle = add(count_30_mib, claim, &claims)},
		     other = {.bytes = 30 * MIB};

	cr_assert(budget_take(64 * MIB));
	cache_add(&other);
	target(&liar);
	target(&other);
	wait_for_target(&other, 30 * MIB - 30 * MIB / 128);
	cr_expect_eq(want(16 * MIB).claimed_bytes, 16 * MIB);
	cr_expect_gt(claims, 0);
	cr_expect_gt(target(&other), 24 * MIB);
}

static size_t count_or_stop(const struct oomreclaim_control *control, void *arg)
{
	const atomic_size_t *bytes = arg;

	cr_expect_not(control->is_direct);
	return atomic_load(bytes);
}

/* Until it has returned OOMRECLAIM_STOP so many times more. */
static void wait_for_stops(const struct cache *cache, unsigned stops)
{
	struct oomreclaim_callback_stats stats;
	uint64_t last;

	oomreclaim_callback_stats(cache->handle, &stats, sizeof stats);
	last = stats.stops + stops;
	while (stats.stops < last) {
		usleep(1000);
		oomreclaim_callback_stats(cache->handle, &stats, sizeof stats);
	}
}

/* It can't be counted any more, and then the heap grows: oomreclaimd has seen both. */
static void grow_uncounted(const struct cache *cache, atomic_size_t *bytes, size_t by)
{
	atomic_store(bytes, OOMRECLAIM_STOP);
	wait_for_stops(cache, 1);
	cr_assert(budget_take(by));
	wait_for_stops(cache, 3);
}

Test(targets, one_that_cannot_be_counted_now_is_as_large_as_it_was)
{
	static atomic_size_t bytes = 32 * MIB;
	struct cache cache = {.handle = add(count_or_stop, count_or_stop, &bytes)};

	cr_assert(budget_take(32 * MIB));
	target(&cache);
	wait_for_target(&cache, aim(32 * MIB, 32 * MIB));
	atomic_store(&bytes, OOMRECLAIM_STOP);
	wait_for_stops(&cache, 2);
	cr_expect_eq(target(&cache), aim(32 * MIB, 32 * MIB));
}

/* By what it had when it was counted last it would be told to evict what it has now, and so would
   the other. */
Test(targets, one_that_cannot_be_counted_now_may_have_grown)
{
	static atomic_size_t bytes = 4 * MIB;
	struct cache locked = {.handle = add(count_or_stop, count_or_stop, &bytes)},
		     other = {.bytes = 4 * MIB};

	cr_assert(budget_take(8 * MIB));
	cache_add(&other);
	target(&locked);
	target(&other);
	wait_for_target(&other, aim(8 * MIB, 56 * MIB) / 2);
	grow_uncounted(&locked, &bytes, 52 * MIB);
	cr_expect_eq(target(&locked), aim(60 * MIB, 4 * MIB) / 2);
	cr_expect_eq(target(&other), aim(60 * MIB, 4 * MIB) / 2);
	/* What has left the heap is not growth, and a limit that falls holds at once. */
	budget_uncharge(52 * MIB);
	wait_for_stops(&locked, 3);
	cr_expect_eq(target(&other), aim(8 * MIB, 56 * MIB) / 2);
	budget_set_limit(16 * MIB);
	wait_for_target(&other, aim(8 * MIB, 8 * MIB) / 2);
}

/* The growth is that of one of them, whichever it is. */
Test(targets, of_two_that_cannot_be_counted_one_may_have_grown)
{
	static atomic_size_t bytes = 4 * MIB;
	struct cache a = {.handle = add(count_or_stop, count_or_stop, &bytes)},
		     b = {.handle = add(count_or_stop, count_or_stop, &bytes)};

	cr_assert(budget_take(28 * MIB));
	target(&a);
	target(&b);
	wait_for_target(&b, aim(8 * MIB, 36 * MIB) / 2);
	grow_uncounted(&b, &bytes, 20 * MIB);
	cr_expect_eq(target(&a), aim(28 * MIB, 16 * MIB) / 2);
	cr_expect_eq(target(&b), aim(28 * MIB, 16 * MIB) / 2);
}

Test(targets, one_beside_that_cannot_be_counted_may_have_grown)
{
	static atomic_size_t bytes = 8 * MIB;
	struct cache beside = {.handle = add(count_or_stop, count_or_stop, &bytes)},
		     counted = {.bytes = 0}, cache = {.bytes = 8 * MIB};

	cr_assert(budget_take(16 * MIB));
	cache_add(&counted);
	add_with_target(&cache, 60 * MIB);
	grow_uncounted(&beside, &bytes, 40 * MIB);
	/* The half of it: they cost the same. */
	cr_expect_eq(target(&cache), aim(32 * MIB, 8 * MIB));
}

Test(targets, of_two_beside_that_cannot_be_counted_one_may_have_grown)
{
	static atomic_size_t bytes = 4 * MIB;
	struct cache a = {.handle = add(count_or_stop, count_or_stop, &bytes)},
		     b = {.handle = add(count_or_stop, count_or_stop, &bytes)},
		     cache = {.bytes = 8 * MIB};

	cr_assert(budget_take(16 * MIB));
	add_with_target(&cache, 60 * MIB);
	grow_uncounted(&a, &bytes, 24 * MIB);
	wait_for_stops(&b, 1);
	/* The half of it, and of what both had. */
	cr_expect_eq(target(&cache), aim(24 * MIB, 24 * MIB));
}

/* All that is in the heap by then has not come since it was counted. */
Test(targets, one_beside_that_could_never_be_counted_has_nothing)
{
	static atomic_size_t bytes = OOMRECLAIM_STOP;
	struct cache beside = {.handle = add(count_or_stop, count_or_stop, &bytes)},
		     cache = {.bytes = 8 * MIB};

	cr_assert(budget_take(32 * MIB));
	add_with_target(&cache, 40 * MIB);
	wait_for_stops(&beside, 2);
	cr_expect_eq(target(&cache), aim(8 * MIB, 32 * MIB));
}

Test(targets, one_that_could_never_be_counted_has_none)
{
	static atomic_size_t bytes = OOMRECLAIM_STOP;
	struct cache cache = {.handle = add(count_or_stop, count_or_stop, &bytes)};

	cr_assert(budget_take(60 * MIB));
	target(&cache);
	wait_for_stops(&cache, 2);
	cr_expect_eq(target(&cache), SIZE_MAX);
	atomic_store(&bytes, 60 * MIB);
	wait_for_target(&cache, aim(60 * MIB, 4 * MIB));
}

Test(targets, one_that_counts_too_much_does_not_lift_the_limit)
{
	struct cache liar = {.bytes = SIZE_MAX - 1}, other = {.bytes = 16 * MIB};

	cr_assert(budget_take(32 * MIB));
	cache_add(&liar);
	cache_add(&other);
	target(&liar);
	target(&other);
	wait_for_target(&liar, aim(32 * MIB, 32 * MIB) / 2);
	wait_for_target(&other, aim(32 * MIB, 32 * MIB) / 2);
	liar.bytes = (size_t)1 << 50;
	budget_set_limit(48 * MIB);
	wait_for_target(&other, aim(32 * MIB, 16 * MIB) / 2);
}

Test(targets, what_others_can_give_is_left_as_well)
{
	struct cache cache = {.bytes = 8 * MIB}, same = {.bytes = 8 * MIB},
		     cheap = {.bytes = 4 * MIB}, first = {.bytes = 2 * MIB}, last = {.bytes = MIB};

	cr_assert(budget_take(64 * MIB));
	cache_add_with(&cache, 0, 3, 0);
	target(&cache);
	wait_for_target(&cache, 8 * MIB - 8 * MIB / 128);
	cache_add_with(&same, 0, 3, 0);
	wait_for_target(&cache, 12 * MIB - 12 * MIB / 128);
	cache_add_with(&cheap, 0, 1, 0);
	wait_for_target(&cache, 15 * MIB - 15 * MIB / 128);
	cache_add_with(&first, 1, OOMRECLAIM_COST_MAX, 0);
	wait_for_target(&cache, 17 * MIB - 17 * MIB / 128);
	cache_add_with(&last, -1, 1, 0);
	first.bytes = 4 * MIB;
	wait_for_target(&cache, 19 * MIB - 19 * MIB / 128);
	cr_expect_eq(same.scans + cheap.scans + first.scans + last.scans, 0);
	cr_expect_eq(oomreclaim_unregister(first.handle), 0);
	wait_for_target(&cache, 15 * MIB - 15 * MIB / 128);
}

Test(targets, two_share_and_regret_moves_it)
{
	struct cache a = {.bytes = 16 * MIB}, b = {.bytes = 16 * MIB}, other = {.bytes = MIB};
	struct oomreclaim_callback_stats stats;
	oomreclaim_handle handle;

	cr_assert(budget_take(32 * MIB));
	cache_add(&a);
	cache_add(&b);
	cache_add(&other);
	target(&a);
	target(&b);
	wait_for_target(&a, aim(32 * MIB, 32 * MIB) / 2);
	wait_for_target(&b, aim(32 * MIB, 32 * MIB) / 2);
	while (target(&a) < 40 * MIB) {
		cr_assert_eq(oomreclaim_cache_regret(a.handle, MIB), 0);
		usleep(1000);
	}
	cr_expect_leq(target(&b), aim(32 * MIB, 32 * MIB) - 40 * MIB);
	cr_assert_eq(oomreclaim_callback_stats(a.handle, &stats, sizeof stats), 0);
	cr_expect_gt(stats.bytes_target, 31 * MIB + 768 * KIB);
	cr_expect_gt(stats.bytes_regretted, 0);
	cr_expect_eq(stats.bytes_regretted % MIB, 0);
	cr_assert_eq(oomreclaim_callback_stats(other.handle, &stats, sizeof stats), 0);
	cr_expect_eq(stats.bytes_target, 0);
	cr_expect_gt(other.counts, 0, "what can be had of it counts");
	other.bytes = 0;
	/* The other has all of it once one is gone. */
	handle = a.handle;
	cr_expect_eq(oomreclaim_unregister(handle), 0);
	wait_for_target(&b, aim(16 * MIB, 32 * MIB));
}

/* As many callbacks as there are places for targets that are read without the lock: 64. */
Test(targets, of_two_that_have_one_place)
{
	struct cache a = {.bytes = 16 * MIB}, b = {.bytes = 16 * MIB};
	struct oomreclaim_callback_stats stats;
	unsigned calls = 0;

	cr_assert(budget_take(32 * MIB));
	cache_add(&a);
	target(&a);
	for (int i = 1; i < 64; i++)
		oomreclaim_register("a", 0, 0, give_nothing, &calls, NULL);
	cache_add(&b);
	cr_assert_eq(b.handle, a.handle + 64);
	target(&b);
	wait_for_target(&b, aim(32 * MIB, 32 * MIB) / 2);
	while (target(&a) < 40 * MIB) {
		cr_assert_eq(oomreclaim_cache_regret(a.handle, MIB), 0);
		usleep(1000);
	}
	cr_expect_leq(target(&b), aim(32 * MIB, 32 * MIB) - 40 * MIB);
	cr_assert_eq(oomreclaim_callback_stats(b.handle, &stats, sizeof stats), 0);
	cr_expect_eq(target(&b), stats.bytes_target);
	cr_expect_eq(oomreclaim_unregister(a.handle), 0);
	cr_expect_eq(target(&a), SIZE_MAX);
	wait_for_target(&b, aim(16 * MIB, 32 * MIB));
}

static size_t leave(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	return oomreclaim_unregister(*(const oomreclaim_handle *)arg) == 0 ? MIB : 0;
}

Test(targets, one_may_leave_while_it_is_counted)
{
	static oomreclaim_handle handle;

	handle = add(leave, leave, &handle);
	oomreclaim_cache_target(handle);
	while (registered() > 0)
		usleep(1000);
	cr_expect_eq(oomreclaim_cache_target(handle), SIZE_MAX);
}
