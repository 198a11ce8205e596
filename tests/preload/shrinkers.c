/* SPDX-License-Identifier: BSD-2-Clause */
/* Caches that share, over the real heap and under a limit. */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "oomreclaim.h"

struct cache {
	struct pool pool;
	size_t block;
	size_t lost;
	bool is_locked;
	oomreclaim_handle handle;
};

static size_t count(const struct oomreclaim_control *control, void *arg)
{
	const struct cache *cache = arg;

	CHECK(control->struct_size >= sizeof *control && control->bytes_wanted > 0);
	errno = EBADF; /* it is restored */
	return cache->pool.count * cache->block;
}

static size_t scan(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;
	size_t freed;

	CHECK(control->bytes_wanted > 0);
	errno = EBADF;
	if (cache->is_locked)
		return OOMRECLAIM_STOP;
	freed = pool_evict(&cache->pool, control->bytes_wanted);
	cache->lost += freed;
	return freed;
}

static void enlist(struct cache *cache, unsigned cost)
{
	const struct oomreclaim_shrinker shrinker = {.name = "cache",
	                                             .count = count,
	                                             .scan = scan,
	                                             .arg = cache,
	                                             .cost = cost};

	CHECK_EQ(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, &cache->handle), 0);
}

static struct cache a = {.block = 4 * KIB}, b = {.block = 4 * KIB};
static struct pool kept;

/* Both have as much, and there is no more. */
static void fill(void)
{
	for (size_t i = 0; i < 16 * MIB / (4 * KIB); i++)
		CHECK(pool_add(&a.pool, a.block) && pool_add(&b.pool, b.block));
	pool_fill(&kept, MIB);
	pool_fill(&kept, 4 * KIB);
}

/* Blocks that stay; each has to succeed, and leaves no trace in errno. */
static void keep(size_t bytes)
{
	for (size_t i = 0; i < bytes / (4 * KIB); i++) {
		errno = ERRNO_UNTOUCHED;
		CHECK(pool_add(&kept, 4 * KIB));
		CHECK_EQ(errno, ERRNO_UNTOUCHED);
	}
}

static void equal(void)
{
	enlist(&a, OOMRECLAIM_COST_DEFAULT);
	enlist(&b, OOMRECLAIM_COST_DEFAULT);
	a.is_locked = b.is_locked = true;
	fill();
	a.is_locked = b.is_locked = false;
	keep(10 * MIB);
	CHECK(a.lost > 4 * MIB && b.lost > 4 * MIB);
	CHECK(10 * a.lost < 11 * b.lost + 10 * 64 * KIB);
	CHECK(10 * b.lost < 11 * a.lost + 10 * 64 * KIB);
}

/* While one holds its lock the other gives all; then the first pays. */
static void locked(void)
{
	struct oomreclaim_callback_stats stats;

	enlist(&a, 1);
	enlist(&b, 1);
	a.is_locked = b.is_locked = true;
	fill();
	b.is_locked = false;
	keep(10 * MIB);
	CHECK(a.lost == 0 && b.lost > 8 * MIB);
	CHECK_EQ(oomreclaim_callback_stats(a.handle, &stats, sizeof stats), 0);
	CHECK(stats.stops > 0 && stats.counts > 0 && stats.bytes_deferred > 0);
	CHECK_EQ(stats.bytes_claimed, 0);
	a.is_locked = false;
	b.lost = 0;
	CHECK(oomreclaim_reclaim(MIB) >= MIB);
	CHECK(a.lost > b.lost);
	CHECK_EQ(oomreclaim_unregister(a.handle), 0);
	CHECK_EQ(oomreclaim_unregister(b.handle), 0);
	CHECK_EQ(oomreclaim_unregister(b.handle), EINVAL);
	CHECK_EQ(oomreclaim_reclaim(MIB), 0);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {{"equal", equal}, {"locked", locked}};

	return check_main(argc, argv, cases, COUNT(cases));
}
