/* SPDX-License-Identifier: BSD-2-Clause */
/* How much of the large free extents stays: by tables. */
#include <criterion/criterion.h>

#include "heap/keep.h"
#include "support.h"

TestSuite(keep, .init = support_init, .timeout = WATCHDOG_SECONDS);

Test(keep, what_may_stay)
{
	static const struct {
		size_t kept, peak, in_use, huge, other, allowed;
	} table[] = {
		{0, 800, 400, 400, 0, 0},          /* nothing is learned */
		{50, 800, 400, 400, 0, 50},        /* as much as was wanted again */
		{900, 800, 400, 400, 0, 400},      /* not more than is in use */
		{9000, 8192, 6144, 6144, 0, 3116}, /* about an eighth above the peak */
		{9000, 8192, 6144, 0, 0, 4096},    /* a quarter, where no block is huge */
		{9000, 8192, 6144, 3072, 0, 3608}, /* by the mix, between these */
		{9000, 8192, 6144, 0, 1000, 3096}, /* what goes by itself counts */
		{9000, 8192, 6144, 0, 4096, 0},    /* and may be too much already */
		{9000, 8192, 8192, 0, 0, 2048},    /* at the peak */
		{9000, 8192, 16384, 0, 0, 4096},   /* above it: that is the peak now */
		{900, 800, 0, 0, 0, 0},            /* all is freed */
		{900, 800, 600, SIZE_MAX, 0, 300}, /* two counts, of which one is older */
		{SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, 0, 0}, /* no sum wraps around */
		{SIZE_MAX, SIZE_MAX, SIZE_MAX, 0, 0, 0},
		{SIZE_MAX, 800, 400, 0, SIZE_MAX, 0},
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct keep keep = {.kept = table[i].kept, .peak = table[i].peak};

		cr_expect_eq(keep_allowed(&keep, table[i].in_use, table[i].huge, table[i].other),
		             table[i].allowed, "line %zu: %zu", i,
		             keep_allowed(&keep, table[i].in_use, table[i].huge, table[i].other));
	}
}

Test(keep, what_is_wanted_again)
{
	static const struct {
		size_t gave, took, kept, unclaimed;
	} table[] = {
		{0, 50, 0, 0},         /* new pages, and none were given back */
		{50, 20, 20, 30},      /* a part */
		{0, 80, 50, 0},        /* the rest, and new ones */
		{2000, 2000, 1000, 0}, /* not above the peak */
		{SIZE_MAX, 0, 1000, SIZE_MAX},
		{SIZE_MAX, SIZE_MAX, 1000, 0},
	};
	struct keep keep = {.peak = 1000};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		keep_gave(&keep, table[i].gave);
		keep_took(&keep, table[i].took);
		cr_expect_eq(keep.kept, table[i].kept, "line %zu: %zu", i, keep.kept);
		cr_expect_eq(keep.unclaimed, table[i].unclaimed, "line %zu", i);
	}
}

Test(keep, what_is_forgotten)
{
	static const struct {
		uint64_t ms;
		size_t in_use, free_bytes;
		size_t kept, unclaimed, peak, low, high;
	} table[] = {
		{0, 500, 60, 100, 70, 900, 60, 95},    /* no time has passed */
		{999, 500, 99, 100, 70, 900, 80, 99},  /* the least and the most */
		{999, 950, 90, 100, 70, 950, 80, 95},  /* a new peak */
		{1000, 500, 90, 55, 0, 850, 90, 90},   /* half of what nobody had a use for */
		{1999, 900, 0, 95, 0, 900, 0, 0},      /* all of it had a use */
		{3000, 500, 90, 13, 0, 769, 90, 90},   /* and nothing has happened since */
		{3600000, 500, 90, 0, 0, 500, 90, 90}, /* an hour */
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct keep keep = {.kept = 100,
		                    .unclaimed = 70,
		                    .peak = 900,
		                    .low = 80,
		                    .high = 95,
		                    .at_ms = 5000};

		keep_age(&keep, 5000 + table[i].ms, table[i].in_use, table[i].free_bytes);
		cr_expect_eq(keep.kept, table[i].kept, "line %zu: kept %zu", i, keep.kept);
		cr_expect_eq(keep.unclaimed, table[i].unclaimed, "line %zu", i);
		cr_expect_eq(keep.peak, table[i].peak, "line %zu: peak %zu", i, keep.peak);
		cr_expect_eq(keep.low, table[i].low, "line %zu: low %zu", i, keep.low);
		cr_expect_eq(keep.high, table[i].high, "line %zu: high %zu", i, keep.high);
		cr_expect_eq(keep.at_ms, 5000 + (table[i].unclaimed > 0 ? 0 : table[i].ms));
	}
}

/* A clock that another thread has read a little later. */
Test(keep, time_that_goes_back)
{
	struct keep keep = {.kept = 100, .unclaimed = 70, .peak = 900, .low = 80, .at_ms = 5000};

	keep_age(&keep, 4000, 500, 90);
	cr_expect_eq(keep.kept, 100);
	cr_expect_eq(keep.at_ms, 5000);
}
