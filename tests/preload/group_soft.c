/* SPDX-License-Identifier: BSD-2-Clause */
/* The soft limits of groups, over the real heap: high, above which a thread reclaims and waits, and
   low, up to which others leave the group alone. */
#include <errno.h>
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

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"high", high},
		{"beyond", beyond},
		{"low", low},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
