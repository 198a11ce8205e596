/* SPDX-License-Identifier: BSD-2-Clause */
/* The arithmetic by itself, without a walk. */
#include <criterion/criterion.h>

#include "base/base.h"
#include "reclaim/shrinker.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

enum { SHRINKERS = 3 };

/* ---- Shares ---- */

static const struct {
	const char *what;
	unsigned pressure;
	size_t missing;
	struct shrinker shrinkers[SHRINKERS];
	size_t shares[SHRINKERS];
} shares[] = {
	{"equal ones share equally",
         0,
         MIB,
         {{.cost = 2, .counted_bytes = 8 * MIB}, {.cost = 2, .counted_bytes = 8 * MIB}},
         {512 * KIB, 512 * KIB}},
	{"by size",
         0,
         MIB,
         {{.cost = 2, .counted_bytes = 24 * MIB}, {.cost = 2, .counted_bytes = 8 * MIB}},
         {768 * KIB, 256 * KIB}},
	{"over cost",
         0,
         11 * MIB,
         {{.cost = 1, .counted_bytes = 64 * MIB}, {.cost = 10, .counted_bytes = 64 * MIB}},
         {10 * MIB, MIB}},
	{"the range of costs",
         0,
         1001 * KIB,
         {{.cost = 1, .counted_bytes = 64 * MIB}, {.cost = 1000, .counted_bytes = 64 * MIB}},
         {1000 * KIB, KIB}},
	{"no more than there is",
         0,
         64 * MIB,
         {{.cost = 1, .counted_bytes = 8 * MIB}, {.cost = 1, .counted_bytes = 2 * MIB}},
         {8 * MIB, 2 * MIB}},
	{"one that has nothing",
         0,
         MIB,
         {{.cost = 2, .counted_bytes = 8 * MIB}, {.cost = 2}},
         {MIB, 0}},
	{"rounded up",
         0,
         100 * KIB,
         {{.cost = 1, .counted_bytes = MIB},
          {.cost = 1, .counted_bytes = MIB},
          {.cost = 1, .counted_bytes = MIB}},
         {34134, 34134, 34134}},
	{"parts that would all be put off rise until one is not",
         0,
         100,
         {{.cost = 1, .counted_bytes = MIB}, {.cost = 4, .counted_bytes = MIB}},
         {4096, 1024}},
	{"to the batch",
         0,
         100,
         {{.cost = 1, .batch = 64 * KIB, .counted_bytes = MIB},
          {.cost = 4, .batch = 64 * KIB, .counted_bytes = MIB}},
         {64 * KIB, 16 * KIB}},
	{"what is due counts for the batch",
         0,
         100,
         {{.cost = 1, .batch = 64 * KIB, .counted_bytes = MIB, .due_bytes = 32 * KIB},
          {.cost = 4, .batch = 64 * KIB, .counted_bytes = MIB}},
         {32 * KIB, 8 * KIB}},
	{"nobody's part rises where one's is due already",
         0,
         100,
         {{.cost = 1, .batch = 64 * KIB, .counted_bytes = MIB, .due_bytes = 64 * KIB},
          {.cost = 1, .batch = 64 * KIB, .counted_bytes = MIB}},
         {50, 50}},
	{"rising pressure",
         1,
         MIB,
         {{.cost = 2, .counted_bytes = 8 * MIB}, {.cost = 2, .counted_bytes = 8 * MIB}},
         {2 * MIB, 2 * MIB}},
	{"and more",
         3,
         128 * KIB,
         {{.cost = 2, .counted_bytes = 8 * MIB}, {.cost = 2, .counted_bytes = 8 * MIB}},
         {4 * MIB, 4 * MIB}},
	{"in the end all",
         SHRINK_PRESSURE_MAX,
         1,
         {{.cost = 1, .counted_bytes = 8 * MIB}, {.cost = 1000, .doubts = 4, .counted_bytes = 3}},
         {8 * MIB, 3}},
	{"doubts",
         0,
         17 * MIB,
         {{.cost = 1, .counted_bytes = 64 * MIB},
          {.cost = 1, .counted_bytes = 64 * MIB, .doubts = 4}},
         {16 * MIB, MIB}},
	{"counts that are wrong",
         0,
         SIZE_MAX,
         {{.cost = 1, .counted_bytes = SIZE_MAX - 1},
          {.cost = 1000, .counted_bytes = SIZE_MAX - 1}},
         {18428315757951600015U, 18428315757951601}},
};

Test(shrinker, shares)
{
	for (size_t i = 0; i < ARRAY_SIZE(shares); i++) {
		struct shrink_pass pass = {.pressure = shares[i].pressure};

		for (size_t j = 0; j < SHRINKERS; j++)
			if (shares[i].shrinkers[j].cost > 0)
				shrink_pass_add(&pass, &shares[i].shrinkers[j], j + 1);
		shrink_pass_aim(&pass, shares[i].missing);
		for (size_t j = 0; j < SHRINKERS && shares[i].shrinkers[j].cost > 0; j++)
			cr_expect_eq(shrinker_share(&shares[i].shrinkers[j], &pass),
			             shares[i].shares[j], "%s: %zu is %zu", shares[i].what, j,
			             shrinker_share(&shares[i].shrinkers[j], &pass));
	}
}

/* The sum of weights stays in its range, whatever is counted. */
Test(shrinker, a_thousand_wrong_counts)
{
	const struct shrinker wrong = {.cost = 1, .counted_bytes = SIZE_MAX - 1};
	struct shrink_pass pass = {.pressure = 0};

	for (size_t i = 0; i < 1000; i++)
		shrink_pass_add(&pass, &wrong, i + 1);
	shrink_pass_aim(&pass, MIB);
	cr_expect_eq(pass.weight, UINT64_MAX);
	cr_expect_geq(shrinker_share(&wrong, &pass), MIB / 1000);
	cr_expect_leq(shrinker_share(&wrong, &pass), MIB / 100);
}

/* ---- Who begins ---- */

Test(shrinker, the_one_that_has_begun_least_begins)
{
	const struct shrinker turns[] = {{.cost = 1, .counted_bytes = 1, .turn = 5},
	                                 {.cost = 1, .counted_bytes = 0, .turn = 0},
	                                 {.cost = 1, .counted_bytes = 1, .turn = 3},
	                                 {.cost = 1, .counted_bytes = 1, .turn = 3}};
	struct shrink_pass pass = {.pressure = 0};

	for (size_t i = 0; i < ARRAY_SIZE(turns); i++)
		shrink_pass_add(&pass, &turns[i], 10 + i);
	cr_expect_eq(pass.first, 12);
	cr_expect_eq(pass.latest_turn, 5);
}

/* ---- What is asked for ---- */

static const struct {
	const char *what;
	size_t batch, counted;
	int64_t due;
	size_t share, missing;
	size_t ask;
} asks[] = {
	{"the share", 0, MIB, 0, 100 * KIB, MIB, 100 * KIB},
	{"and what is due", 0, MIB, 50 * KIB, 100 * KIB, MIB, 150 * KIB},
	{"without what was given before", 0, MIB, -(int64_t)(50 * KIB), 100 * KIB, MIB, 50 * KIB},
	{"which may be more", 0, MIB, -(int64_t)(200 * KIB), 100 * KIB, MIB, 0},
	{"no more than there is", 0, MIB, 512 * KIB, 768 * KIB, 2 * MIB, MIB},
	{"no more than is missing", 0, MIB, 0, 100 * KIB, 60 * KIB, 60 * KIB},
	{"but not less than the least", 0, MIB, 0, 100 * KIB, 1, 4096},
	{"so little is put off", 0, MIB, 0, 4095, MIB, 0},
	{"unless there is no more", 0, 100, 0, 100, MIB, 100},
	{"but then all of it", 0, 100, 0, 99, MIB, 0},
	{"in batches", 64 * KIB, MIB, 0, 200 * KIB, MIB, 64 * KIB},
	{"a batch at least", 64 * KIB, MIB, 0, 200 * KIB, 1, 64 * KIB},
	{"less than a batch is put off", 64 * KIB, MIB, 0, 64 * KIB - 1, MIB, 0},
	{"a tiny batch", 1, MIB, 0, 100 * KIB, MIB, 4096},
	{"a batch beyond all", SIZE_MAX, MIB, 0, MIB, 1, MIB},
	{"nothing", 0, 0, 100, 0, MIB, 0},
};

Test(shrinker, asks)
{
	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		const struct shrinker shrinker = {.batch = asks[i].batch,
		                                  .counted_bytes = asks[i].counted,
		                                  .due_bytes = asks[i].due};
		const struct shrink_pass pass = {.pressure = 0};
		size_t work = shrinker_work(&shrinker, &pass, asks[i].share);

		cr_expect_eq(shrinker_ask(&shrinker, work, asks[i].missing), asks[i].ask, "%s: %zu",
		             asks[i].what, shrinker_ask(&shrinker, work, asks[i].missing));
	}
}

/* Nothing is kept back where nothing else is left to ask. */
Test(shrinker, in_the_end_what_was_given_before_does_not_count)
{
	const struct shrinker shrinker = {.counted_bytes = MIB, .due_bytes = -(int64_t)MIB};
	const struct shrink_pass pass = {.pressure = SHRINK_PRESSURE_MAX};

	cr_expect_eq(shrinker_work(&shrinker, &pass, MIB), MIB);
}

/* ---- What is due ---- */

static const struct {
	const char *what;
	unsigned pressure;
	size_t counted;
	int64_t before;
	size_t share, given;
	int64_t due;
} dues[] = {
	{"all was given", 0, MIB, 0, 1000, 1000, 0},
	{"a part was", 0, MIB, 0, 1000, 300, 700},
	{"nothing was", 0, MIB, 500, 1000, 0, 1500},
	{"more was", 0, MIB, 500, 1000, 1200, 300},
	{"much more was", 0, MIB, 500, 1000, 5000, -3500},
	{"and half at most", 0, MIB, 500, 1000, MIB, -(int64_t)(MIB / 2)},
	{"half at most", 0, MIB, (int64_t)MIB, 1000, 0, MIB / 2},
	{"under pressure nothing is added", 1, MIB, 500, 4000, 0, 500},
	{"what is given counts", 1, MIB, 500, 4000, 200, 300},
	{"no wrap", 0, SIZE_MAX, INT64_MAX, 1000, 0, INT64_MAX},
};

Test(shrinker, dues)
{
	for (size_t i = 0; i < ARRAY_SIZE(dues); i++) {
		struct shrinker shrinker = {.counted_bytes = dues[i].counted,
		                            .due_bytes = dues[i].before};
		const struct shrink_pass pass = {.pressure = dues[i].pressure};

		shrinker_defer(&shrinker, &pass, dues[i].share, dues[i].given);
		cr_expect_eq(shrinker.due_bytes, dues[i].due, "%s: %td", dues[i].what,
		             shrinker.due_bytes);
	}
}

/* ---- Whom to believe ---- */

Test(shrinker, doubts)
{
	struct shrinker shrinker = {.doubts = 0};

	shrinker_judge(&shrinker, 0, 0);
	cr_expect_eq(shrinker.doubts, 0, "it said that there is nothing");
	shrinker_judge(&shrinker, 1000, 0);
	cr_expect_eq(shrinker.doubts, 1);
	for (int i = 0; i < 10; i++)
		shrinker_judge(&shrinker, 1000, 0);
	cr_expect_eq(shrinker.doubts, SHRINK_DOUBTS_MAX);
	shrinker_judge(&shrinker, 0, 0);
	cr_expect_eq(shrinker.doubts, SHRINK_DOUBTS_MAX, "that proves nothing");
	shrinker_judge(&shrinker, 1000, 1);
	cr_expect_eq(shrinker.doubts, 0);
}
