/* SPDX-License-Identifier: BSD-2-Clause */
/* The soft limits of groups, over the real heap: high, above which a thread reclaims and waits, and
   low, up to which others leave the group alone. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "oomreclaim_group.h"

#define ROOT OOMRECLAIM_GROUP_ROOT
#define BLOCK (16 * KIB)

static struct oomreclaim_group_stats stats_of(oomreclaim_group group)
{
	struct oomreclaim_group_stats stats;

	CHECK_EQ(oomreclaim_group_stats(group, &stats, sizeof stats), 0);
	return stats;
}

static oomreclaim_group make(const char *name)
{
	oomreclaim_group group = 0;

	CHECK_EQ(oomreclaim_group_create(name, ROOT, &group), 0);
	return group;
}

static void set(oomreclaim_group group, enum oomreclaim_group_attribute attribute, size_t bytes)
{
	int64_t value = 0;

	CHECK_EQ(oomreclaim_group_set(group, attribute, (int64_t)bytes), 0);
	CHECK_EQ(oomreclaim_group_get(group, attribute, &value), 0);
	CHECK_EQ(value, bytes);
	CHECK_EQ(oomreclaim_group_set(group, attribute, -1), ERANGE);
}

struct cache {
	struct pool pool;
	size_t asked;
};

static size_t evict(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;

	cache->asked++;
	return pool_evict(&cache->pool, control->bytes_wanted);
}

/* A cache in the group keeps it near its high, and nothing fails. */
static void high(void)
{
	static struct cache cache;
	oomreclaim_group group = make("high");
	oomreclaim_handle handle;
	int64_t value = 0;

	CHECK_EQ(oomreclaim_group_get(group, OOMRECLAIM_GROUP_HIGH, &value), 0);
	CHECK(value == OOMRECLAIM_GROUP_NONE);
	set(group, OOMRECLAIM_GROUP_HIGH, 8 * MIB);
	oomreclaim_group_enter(group);
	CHECK_EQ(oomreclaim_register("cache", 0, 0, evict, &cache, &handle), 0);
	errno = ERRNO_UNTOUCHED;
	for (size_t i = 0; i < 32 * MIB / BLOCK; i++)
		CHECK(pool_add(&cache.pool, BLOCK));
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
	CHECK(cache.asked > 0 && stats_of(group).high_met > 0);
	CHECK(stats_of(group).peak < 9 * MIB);
	CHECK_EQ(stats_of(group).max_met, 0);
	oomreclaim_group_enter(ROOT);
	/* Set lower, it reclaims at once. */
	set(group, OOMRECLAIM_GROUP_HIGH, 2 * MIB);
	CHECK(stats_of(group).charged <= 2 * MIB);
	CHECK_EQ(oomreclaim_unregister(handle), 0);
	pool_clear(&cache.pool);
	CHECK_EQ(oomreclaim_group_destroy(group, 0), 0);
}

/* Nobody has anything to give: it is slower, and never NULL. */
static void beyond(void)
{
	oomreclaim_group group = make("beyond");
	struct pool pool = {.count = 0};

	set(group, OOMRECLAIM_GROUP_HIGH, 4 * MIB);
	oomreclaim_group_enter(group);
	while (stats_of(group).charged <= 4 * MIB + 256 * KIB)
		CHECK(pool_add(&pool, BLOCK));
	CHECK(stats_of(group).high_met > 1);
	CHECK(realloc(malloc(100), 100 * KIB) && calloc(2, 50 * KIB));
	oomreclaim_group_enter(ROOT);
	/* Who is not inside does not wait. */
	CHECK(malloc(MIB));
	pool_clear(&pool);
}

/* The process's reclaim takes from others first. */
static void low(void)
{
	static struct cache kept, other;
	oomreclaim_group protected = make("kept"), open = make("other");

	set(protected, OOMRECLAIM_GROUP_LOW, 8 * MIB);
	oomreclaim_group_enter(protected);
	CHECK_EQ(oomreclaim_register("kept", 9, 0, evict, &kept, NULL), 0);
	CHECK(pool_add(&kept.pool, 6 * MIB));
	oomreclaim_group_enter(open);
	CHECK_EQ(oomreclaim_register("other", 0, 0, evict, &other, NULL), 0);
	CHECK(pool_add(&other.pool, MIB) && pool_add(&other.pool, MIB));
	oomreclaim_group_enter(ROOT);
	CHECK(oomreclaim_reclaim(MIB) >= MIB);
	CHECK(oomreclaim_reclaim(MIB) >= MIB);
	CHECK_EQ(kept.asked, 0);
	CHECK_EQ(other.asked, 2);
	/* There is nobody else any more. */
	CHECK(oomreclaim_reclaim(MIB) >= MIB);
	CHECK_EQ(kept.asked, 1);
	/* Above its low it is as any other. */
	oomreclaim_group_enter(protected);
	CHECK(pool_add(&kept.pool, 9 * MIB));
	oomreclaim_group_enter(open);
	CHECK(pool_add(&other.pool, MIB));
	oomreclaim_group_enter(ROOT);
	CHECK(oomreclaim_reclaim(MIB) >= MIB);
	CHECK_EQ(kept.asked, 2);
}

/* ---- What is free in a group ---- */

/* Free, and charged to the group until that is given back. */
static void leave_free(oomreclaim_group group, size_t bytes)
{
	struct pool pool = {.count = 0};

	oomreclaim_group_enter(group);
	while (stats_of(group).charged < bytes)
		CHECK(pool_add(&pool, 64 * KIB));
	pool_clear(&pool);
	oomreclaim_group_enter(ROOT);
	CHECK(stats_of(group).charged >= bytes);
}

/* Until there is no memory, and then back. */
static void fill(oomreclaim_group group)
{
	struct pool pool = {.count = 0};

	oomreclaim_group_enter(group);
	while (pool_add(&pool, 64 * KIB))
		;
	pool_clear(&pool);
	oomreclaim_group_enter(ROOT);
}

static oomreclaim_group make_below(const char *name, oomreclaim_group parent)
{
	oomreclaim_group group = 0;

	CHECK_EQ(oomreclaim_group_create(name, parent, &group), 0);
	return group;
}

/* Others that meet a limit take what is free in a group only where they have nothing else to take,
   and what its min protects not even then. */
static void expect_kept(oomreclaim_group kept, oomreclaim_group other)
{
	set(kept, OOMRECLAIM_GROUP_MIN, 5 * MIB);
	leave_free(kept, 4 * MIB);
	fill(other);
	CHECK(stats_of(kept).charged >= 4 * MIB);
	/* It is there for the group itself. */
	leave_free(kept, 4 * MIB);
	/* What is above goes. */
	leave_free(kept, 8 * MIB);
	fill(other);
	CHECK(stats_of(kept).charged >= 4 * MIB && stats_of(kept).charged <= 5 * MIB);
	set(kept, OOMRECLAIM_GROUP_MIN, 0);
	set(kept, OOMRECLAIM_GROUP_LOW, 5 * MIB);
	fill(other);
	CHECK(stats_of(kept).charged < MIB);
	set(kept, OOMRECLAIM_GROUP_LOW, 0);
}

static void free_below_max(void)
{
	oomreclaim_group parent = make("parent");
	oomreclaim_group kept = make_below("kept", parent), other = make_below("other", parent);

	set(parent, OOMRECLAIM_GROUP_MAX, 32 * MIB);
	expect_kept(kept, other);
}

static void free_below_limit(void)
{
	oomreclaim_group kept = make("kept"), other = make("other");

	CHECK_EQ(oomreclaim_set_limit(64 * MIB), 0);
	expect_kept(kept, other);
}

/* Low is broken by nobody while others have something: what is free in them, or a cache. */
static void free_low_last(void)
{
	static struct cache cache;
	oomreclaim_group parent = make("parent");
	oomreclaim_group kept = make_below("kept", parent), other = make_below("other", parent);
	struct pool pool = {.count = 0};

	set(parent, OOMRECLAIM_GROUP_MAX, 32 * MIB);
	set(kept, OOMRECLAIM_GROUP_LOW, 5 * MIB);
	leave_free(kept, 4 * MIB);
	oomreclaim_group_enter(other);
	CHECK_EQ(oomreclaim_register("cache", 0, 0, evict, &cache, NULL), 0);
	for (size_t i = 0; i < 40 * MIB / BLOCK; i++)
		CHECK(pool_add(&cache.pool, BLOCK));
	CHECK(cache.asked > 0);
	CHECK(stats_of(kept).charged >= 4 * MIB);
	while (pool_add(&pool, BLOCK))
		;
	CHECK(stats_of(kept).charged < MIB);
	pool_clear(&pool);
	pool_clear(&cache.pool);
	oomreclaim_group_enter(ROOT);
}

/* What a parent has free of its own, and what its child has, are together above its low once. */
static void free_of_parent(void)
{
	oomreclaim_group parent = make("parent"), child = make_below("child", parent);

	CHECK_EQ(oomreclaim_set_limit(64 * MIB), 0);
	leave_free(parent, 5 * MIB);
	leave_free(child, 14 * MIB);
	set(parent, OOMRECLAIM_GROUP_MIN, 10 * MIB);
	fill(make("other"));
	CHECK(stats_of(parent).charged >= 9 * MIB && stats_of(parent).charged <= 11 * MIB);
}

static size_t claim_in_vain(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	return 4 * KIB;
}

/* A limit that comes down takes what is low as well, whatever callbacks claim. */
static void free_lowered(void)
{
	oomreclaim_group parent = make("parent"), kept = make_below("kept", parent);
	oomreclaim_handle handle;

	set(kept, OOMRECLAIM_GROUP_LOW, 8 * MIB);
	leave_free(kept, 7 * MIB);
	oomreclaim_group_enter(parent);
	CHECK_EQ(oomreclaim_register("vain", 0, 0, claim_in_vain, NULL, &handle), 0);
	oomreclaim_group_enter(ROOT);
	CHECK_EQ(oomreclaim_group_set(parent, OOMRECLAIM_GROUP_MAX, (int64_t)(2 * MIB)), 0);
	CHECK(stats_of(parent).charged <= 2 * MIB);
	CHECK_EQ(oomreclaim_group_set(parent, OOMRECLAIM_GROUP_MAX, OOMRECLAIM_GROUP_NONE), 0);
	/* Beside the process a group has as much as its parent has for it. */
	set(parent, OOMRECLAIM_GROUP_LOW, 8 * MIB);
	leave_free(kept, 7 * MIB);
	CHECK_EQ(oomreclaim_set_limit(8 * MIB), 0);
	CHECK(stats_of(kept).charged <= 5 * MIB);
}

static oomreclaim_group lowered;
static unsigned lowers;

static size_t free_and_lower(const struct oomreclaim_control *control, void *arg)
{
	uint64_t charged;

	(void)control;
	pool_clear(arg);
	charged = stats_of(lowered).charged;
	CHECK(charged > 4 * MIB);
	CHECK_EQ(oomreclaim_group_set(lowered, OOMRECLAIM_GROUP_MAX, (int64_t)MIB), 0);
	CHECK_EQ(stats_of(lowered).charged, charged);
	CHECK(oomreclaim_set_limit(MIB) > 0);
	CHECK_EQ(stats_of(lowered).charged, charged);
	lowers++;
	return 0;
}

/* A limit that comes down inside of a callback takes nothing, not even what is free. */
static void free_kept_inside(void)
{
	struct pool pool = {.count = 0};

	lowered = make("lowered");
	oomreclaim_group_enter(lowered);
	while (stats_of(lowered).charged <= 4 * MIB)
		CHECK(pool_add(&pool, 64 * KIB));
	oomreclaim_group_enter(ROOT);
	CHECK_EQ(oomreclaim_register("lower", 0, 0, free_and_lower, &pool, NULL), 0);
	CHECK_EQ(oomreclaim_reclaim(1), 0);
	CHECK_EQ(lowers, 1);
	CHECK_EQ(oomreclaim_set_limit(SIZE_MAX), 0);
}

/* For itself a group gives what its min protects. */
static void free_own(void)
{
	oomreclaim_group parent = make("parent"), kept = make_below("kept", parent);
	void *blocks[384], *large;

	set(parent, OOMRECLAIM_GROUP_MAX, 32 * MIB);
	set(kept, OOMRECLAIM_GROUP_MIN, 31 * MIB);
	oomreclaim_group_enter(kept);
	for (size_t i = 0; i < COUNT(blocks); i++)
		CHECK(blocks[i] = malloc(64 * KIB));
	/* Of pieces that are no room for a large one. */
	for (size_t i = 0; i < COUNT(blocks); i += 2)
		free(blocks[i]);
	CHECK(large = malloc(16 * MIB));
	free(large);
	for (size_t i = 1; i < COUNT(blocks); i += 2)
		free(blocks[i]);
	oomreclaim_group_enter(ROOT);
}

/* What is in no group is kept for nobody. */
static void free_outside(void)
{
	struct oomreclaim_stats before, after;
	struct pool pool = {.count = 0};

	set(make("kept"), OOMRECLAIM_GROUP_MIN, 5 * MIB);
	for (size_t i = 0; i < 64; i++)
		CHECK(pool_add(&pool, 64 * KIB));
	pool_clear(&pool);
	CHECK_EQ(oomreclaim_stats_get(&before, sizeof before), 0);
	oomreclaim_reclaim(SIZE_MAX);
	CHECK_EQ(oomreclaim_stats_get(&after, sizeof after), 0);
	CHECK(before.heap_dirty >= 3 * MIB && after.heap_dirty < MIB);
}

/* By hand, and where all is to go. */
static void free_by_hand(void)
{
	oomreclaim_group kept = make("kept");

	set(kept, OOMRECLAIM_GROUP_MIN, 5 * MIB);
	leave_free(kept, 4 * MIB);
	oomreclaim_reclaim(SIZE_MAX);
	CHECK(stats_of(kept).charged >= 4 * MIB);
	malloc_trim(0);
	CHECK(stats_of(kept).charged < MIB);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"high", high},
		{"beyond", beyond},
		{"low", low},
		{"free-below-max", free_below_max},
		{"free-below-limit", free_below_limit},
		{"free-low-last", free_low_last},
		{"free-of-parent", free_of_parent},
		{"free-lowered", free_lowered},
		{"free-kept-inside", free_kept_inside},
		{"free-own", free_own},
		{"free-outside", free_outside},
		{"free-by-hand", free_by_hand},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
