/* SPDX-License-Identifier: BSD-2-Clause */
/* A limit on what the heap maps: by a setting (run with limit:64M) and by
   oomreclaim_set_limit(). */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "oomreclaim.h"

static struct pool pool;
static int calls;
static bool is_generous = true;

static struct oomreclaim_limit_stats stats(void)
{
	struct oomreclaim_limit_stats now;

	CHECK_EQ(oomreclaim_limit_stats(&now, sizeof now), 0);
	return now;
}

static size_t evict(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	if (!is_generous)
		return 0;
	calls++;
	if (control->reason == OOMRECLAIM_REASON_LIMIT)
		CHECK(!strcmp(control->constraint, "BUDGET"));
	else
		CHECK_EQ(control->reason, OOMRECLAIM_REASON_MANUAL);
	CHECK(control->is_direct);
	return pool_evict(&pool, control->bytes_wanted);
}

/* Refused as by a rlimit, and never above. */
static void setting(void)
{
	size_t most;

	CHECK_EQ(oomreclaim_get_limit(), 64 * MIB);
	most = pool_fill(&pool, 256 * KIB);
	CHECK(most > 32 * 4 && most < 64 * 4);
	errno = 0;
	CHECK(!malloc(8 * MIB) && errno == ENOMEM);
	CHECK(stats().limit == 64 * MIB && stats().charged <= 64 * MIB);
	CHECK(stats().peak <= 64 * MIB && stats().peak > 60 * MIB);
	CHECK(stats().times_met > 0);
	/* What is given back is counted back. */
	pool_clear(&pool);
	oomreclaim_reclaim(1);
	CHECK(stats().charged < 16 * MIB);
	CHECK(pool_fill(&pool, 256 * KIB) >= most - 8);
}

/* The ladder runs, with the constraint and the reason. */
static void callback(void)
{
	size_t most = pool_fill(&pool, 256 * KIB);

	pool_evict(&pool, 256 * KIB); /* room to register */
	CHECK_EQ(oomreclaim_register("pool", 0, 0, evict, NULL, NULL), 0);
	for (size_t i = 0; i < 2 * most; i++)
		CHECK(pool_add(&pool, 256 * KIB));
	CHECK(calls > 0);
}

/* Later, in a process that retains: what is below it now is reclaimed, or counted. */
static void later(void)
{
	size_t left;

	/* Before there is a limit that leaves no room for it. */
	CHECK_EQ(oomreclaim_register("pool", 0, 0, evict, NULL, NULL), 0);
	is_generous = false;
	CHECK_EQ(oomreclaim_get_limit(), SIZE_MAX);
	for (int i = 0; i < 64; i++)
		CHECK(pool_add(&pool, MIB));
	left = oomreclaim_set_limit(32 * MIB);
	CHECK(left > 32 * MIB && left == stats().charged - 32 * MIB);
	/* It is still there, all of it; only more is refused. */
	CHECK_EQ(pool.count, 64);
	CHECK(!malloc(4 * MIB));
	is_generous = true;
	CHECK_EQ(oomreclaim_set_limit(32 * MIB), 0);
	CHECK(calls > 0 && pool.count < 32 && stats().charged <= 32 * MIB);
	CHECK_EQ(oomreclaim_set_limit(SIZE_MAX), 0);
	for (int i = 0; i < 128; i++)
		CHECK(pool_add(&pool, MIB));
	CHECK(!malloc(SIZE_MAX / 4));
}

/* A request above the limit is impossible: nobody is asked. */
static void above(void)
{
	CHECK_EQ(oomreclaim_register("pool", 0, 0, evict, NULL, NULL), 0);
	CHECK(!malloc(65 * MIB));
	CHECK_EQ(calls, 0);
}

/* Run with --as 32M as well: what the system refuses is not charged, however often. */
static void rlimit(void)
{
	for (int i = 0; i < 100; i++) {
		CHECK(pool_fill(&pool, 256 * KIB) > 0);
		errno = ERRNO_UNTOUCHED;
		pool_clear(&pool);
		CHECK_EQ(errno, ERRNO_UNTOUCHED);
		CHECK(stats().charged <= 32 * MIB);
	}
	CHECK_EQ(stats().times_met, 0);
}

/* Run with retain:true,dirty_decay_ms:0, where vm.overcommit_memory is 2: pages that are given up
   and taken again are mapped anew in place, and count once. */
static void again(void)
{
	for (int i = 0; i < 100; i++) {
		for (int block = 0; block < 64; block++)
			CHECK(pool_add(&pool, 100000));
		pool_clear(&pool);
	}
	CHECK(stats().charged < 64 * MIB);
}

static void errors(void)
{
	struct oomreclaim_limit_stats now = {.limit = 1, .charged = 2};

	CHECK_EQ(oomreclaim_limit_stats(NULL, sizeof now), EINVAL);
	CHECK_EQ(oomreclaim_limit_stats(&now, sizeof now.limit), 0);
	CHECK(now.limit == 64 * MIB && now.charged == 2);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"setting", setting}, {"callback", callback}, {"later", later}, {"above", above},
		{"errors", errors},   {"rlimit", rlimit},     {"again", again},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
