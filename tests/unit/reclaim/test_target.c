/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How large caches should be: three that are used again and again, by LRU, with different skews and
 * costs, over what the best fixed split costs, which is found by search. The same numbers in each
 * run.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/base.h"
#include "reclaim/target.h"
#include "support.h"

TestSuite(target, .timeout = WATCHDOG_SECONDS);

#define CACHES 3
#define KEYS 8192
#define ENTRY_BYTES 4096
#define POOL ((size_t)6000 * ENTRY_BYTES)
/* Of all caches, between two steps of oomreclaimd: a tenth of a second. */
#define REQUESTS 2000
#define MINUTE 600

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1d;
}

static double root(double value)
{
	double x = value;

	for (int i = 0; i < 60; i++)
		x = (x + value / x) / 2;
	return x;
}

/* What is asked for. Ranks have the weight 1 / rank^(halves / 2). */
struct load {
	unsigned per_mille; /* of the requests */
	unsigned cost;
	unsigned halves;
	double upto[KEYS]; /* the sum of the weights */
};

static void load_set(struct load *load, unsigned per_mille, unsigned cost, unsigned halves)
{
	double all = 0;

	load->per_mille = per_mille;
	load->cost = cost;
	load->halves = halves;
	for (int rank = 0; rank < KEYS; rank++) {
		double weight = 1;

		for (unsigned i = 0; i < halves; i++)
			weight /= root(rank + 1);
		load->upto[rank] = all += weight;
	}
}

static unsigned pick(const struct load *load, uint64_t *random)
{
	double at = (double)(next_random(random) >> 11) / 9007199254740992.0 * load->upto[KEYS - 1];
	unsigned low = 0, high = KEYS - 1;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (load->upto[middle] > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static unsigned pick_cache(const struct load loads[CACHES], uint64_t *random)
{
	unsigned at = (unsigned)(next_random(random) >> 40) % 1000, cache = 0;

	while (cache < CACHES - 1 && at >= loads[cache].per_mille)
		at -= loads[cache++].per_mille;
	return cache;
}

/* ---- A cache, by LRU ---- */

#define NOT_THERE (-1)

struct lru {
	int older[KEYS + 1], newer[KEYS + 1]; /* KEYS is the ring's own place */
	bool is_there[KEYS];
	uint64_t evicted_at[KEYS]; /* entries evicted by then; 0: never was there */
	uint64_t evicted;
	size_t entries;
};

static void lru_init(struct lru *lru)
{
	memset(lru, 0, sizeof *lru);
	lru->older[KEYS] = lru->newer[KEYS] = KEYS;
}

static void unlink_key(struct lru *lru, int key)
{
	lru->newer[lru->older[key]] = lru->newer[key];
	lru->older[lru->newer[key]] = lru->older[key];
}

static void make_newest(struct lru *lru, int key)
{
	lru->older[key] = lru->older[KEYS];
	lru->newer[key] = KEYS;
	lru->newer[lru->older[KEYS]] = key;
	lru->older[KEYS] = key;
}

static void shrink_to(struct lru *lru, size_t entries)
{
	while (lru->entries > entries) {
		int oldest = lru->newer[KEYS];

		unlink_key(lru, oldest);
		lru->is_there[oldest] = false;
		lru->evicted_at[oldest] = ++lru->evicted;
		lru->entries--;
	}
}

/* True for a hit; a miss that is to be regretted is added. */
static bool lru_use(struct lru *lru, int key, size_t entries, uint64_t *regret)
{
	bool is_hit = lru->is_there[key];

	if (is_hit)
		unlink_key(lru, key);
	else if (lru->evicted_at[key] != 0 &&
	         lru->evicted - lru->evicted_at[key] < entries / TARGET_REGRET_PART)
		*regret += ENTRY_BYTES;
	lru->entries += !is_hit;
	lru->is_there[key] = true;
	make_newest(lru, key);
	shrink_to(lru, entries > 0 ? entries : 1);
	return is_hit;
}

/* ---- The best fixed split ---- */

#define GRAINS 60 /* that the pool is cut into */
/* As many entries as targets give out in all: a size by hand leaves the heap room to work in,
   too. */
#define FIXED (POOL / 128 * 127 / ENTRY_BYTES)

/* What a request of the mix costs on average, in thousandths, with so many grains for one. */
static double costs[CACHES][GRAINS + 1];

static void measure_fixed(const struct load *load, double *cost)
{
	static struct lru lru;

	for (size_t grains = 1; grains <= GRAINS; grains++) {
		uint64_t random = 1234567, regret = 0;
		const int all = 60000, warm = 30000;
		int misses = 0;

		lru_init(&lru);
		for (int i = 0; i < all; i++)
			misses += !lru_use(&lru, (int)pick(load, &random), FIXED / GRAINS * grains,
			                   &regret) &&
			          i >= warm;
		cost[grains] = (double)misses / (all - warm) * load->cost * load->per_mille;
	}
}

static double best_cost(const struct load loads[CACHES])
{
	double best = 1e30;

	for (int i = 0; i < CACHES; i++)
		measure_fixed(&loads[i], costs[i]);
	for (size_t a = 1; a <= GRAINS - 2; a++)
		for (size_t b = 1; a + b <= GRAINS - 1; b++) {
			double cost = costs[0][a] + costs[1][b] + costs[2][GRAINS - a - b];

			best = cost < best ? cost : best;
		}
	return best;
}

static double cost_of_equal_parts(void)
{
	return costs[0][GRAINS / 3] + costs[1][GRAINS / 3] + costs[2][GRAINS / 3];
}

/* ---- By targets ---- */

static struct lru caches[CACHES];
static struct target targets[CACHES];
static size_t lowest[CACHES], highest[CACHES];
static uint64_t random_state = 42;

static void begin(void)
{
	for (int i = 0; i < CACHES; i++) {
		lru_init(&caches[i]);
		targets[i] = (struct target){.is_used = true, .bytes = POOL / CACHES};
	}
}

static void step(const struct load loads[CACHES])
{
	struct target_pass pass = {.caches = 0};
	size_t used = 0;

	for (int i = 0; i < CACHES; i++) {
		targets[i].size_bytes = caches[i].entries * ENTRY_BYTES;
		used += targets[i].size_bytes;
		target_add(&pass, &targets[i], loads[i].cost);
	}
	if (target_aim(&pass, used < POOL ? POOL - used : 0, used > POOL ? used - POOL : 0)) {
		for (int i = 0; i < CACHES; i++)
			target_take(&pass, &targets[i], loads[i].cost);
		for (int i = 0; i < CACHES; i++)
			target_move(&pass, &targets[i], loads[i].cost);
		pass.shares = 0;
		for (int i = 0; i < CACHES; i++)
			pass.shares += targets[i].share;
	}
	for (int i = 0; i < CACHES; i++)
		target_set(&pass, &targets[i]);
}

/* What a request costs on average over the last half of so many steps. */
static double run(const struct load loads[CACHES], int steps)
{
	double cost = 0;

	for (int at = 0; at < steps; at++) {
		for (int r = 0; r < REQUESTS; r++) {
			unsigned i = pick_cache(loads, &random_state);
			int key = (int)pick(&loads[i], &random_state);

			if (!lru_use(&caches[i], key, targets[i].bytes / ENTRY_BYTES,
			             &targets[i].regret_bytes) &&
			    at >= steps / 2)
				cost += loads[i].cost;
		}
		step(loads);
		for (int i = 0; i < CACHES; i++) {
			size_t bytes = targets[i].bytes;

			if (at == steps / 2)
				lowest[i] = highest[i] = bytes;
			lowest[i] = bytes < lowest[i] ? bytes : lowest[i];
			highest[i] = bytes > highest[i] ? bytes : highest[i];
		}
	}
	return 1000 * cost / REQUESTS / (steps - steps / 2);
}

static struct load loads[CACHES], later[CACHES];

static void set_loads(void)
{
	load_set(&loads[0], 300, 1, 1);
	load_set(&loads[1], 300, 10, 2);
	load_set(&loads[2], 400, 3, 3);
	load_set(&later[0], 500, 10, 2);
	load_set(&later[1], 300, 1, 3);
	load_set(&later[2], 200, 3, 1);
}

static void expect_near(double cost, double best)
{
	cr_expect_leq(cost, 1.05 * best, "%g, and the best is %g", cost, best);
}

Test(target, within_5_per_cent_of_the_best_split_in_less_than_a_minute)
{
	double best, cost;

	set_loads();
	best = best_cost(loads);
	cr_assert_gt(cost_of_equal_parts(), 1.1 * best, "else there is nothing to find");
	begin();
	cost = run(loads, MINUTE);
	expect_near(cost, best);
}

Test(target, follows_when_the_load_changes)
{
	double best;

	set_loads();
	begin();
	run(loads, MINUTE);
	best = best_cost(later);
	expect_near(run(later, MINUTE), best);
	best = best_cost(loads);
	expect_near(run(loads, MINUTE), best);
}

Test(target, does_not_oscillate)
{
	set_loads();
	begin();
	run(loads, 2 * MINUTE);
	for (int i = 0; i < CACHES; i++)
		cr_expect_leq(highest[i] - lowest[i], POOL / 20, "cache %d: %zu to %zu", i,
		              lowest[i] / ENTRY_BYTES, highest[i] / ENTRY_BYTES);
}

/* ---- The arithmetic ---- */

static void set(size_t headroom_bytes, size_t excess_bytes, struct target *target, size_t count)
{
	struct target_pass pass = {.caches = 0};

	for (size_t i = 0; i < count; i++)
		target_add(&pass, &target[i], 1);
	if (target_aim(&pass, headroom_bytes, excess_bytes)) {
		for (size_t i = 0; i < count; i++)
			target_take(&pass, &target[i], 1);
		for (size_t i = 0; i < count; i++)
			target_move(&pass, &target[i], 1);
		pass.shares = 0;
		for (size_t i = 0; i < count; i++)
			pass.shares += target[i].share;
	}
	for (size_t i = 0; i < count; i++)
		target_set(&pass, &target[i]);
}

Test(target, one_alone_has_all_but_a_margin)
{
	struct target one = {.size_bytes = 32000};

	set(32000, 0, &one, 1);
	cr_expect_eq(one.bytes, 59532);
	set(0, 16000, &one, 1);
	cr_expect_eq(one.bytes, 15875);
	set(0, 99999, &one, 1);
	cr_expect_eq(one.bytes, 0);
	set(SIZE_MAX, 0, &one, 1);
	cr_expect_eq(one.bytes, SIZE_MAX);
}

Test(target, a_newcomer_gets_its_part)
{
	struct target two[2] = {{.size_bytes = 64000}};

	set(0, 0, two, 1);
	set(0, 0, two, 2);
	cr_expect_eq(two[0].bytes, 31750);
	cr_expect_eq(two[1].bytes, 31750);
}

Test(target, without_regret_nothing_moves)
{
	struct target two[2] = {{.size_bytes = 64000}};

	for (int i = 0; i < 1000; i++)
		set(0, 0, two, 2);
	cr_expect_eq(two[0].bytes, 31750);
	/* Nor by a single miss. */
	two[1].regret_bytes = 200;
	set(0, 0, two, 2);
	cr_expect_eq(two[0].bytes, 31750);
	cr_expect_eq(two[1].regret_bytes, 200, "it counts in the next step");
}

Test(target, one_that_needs_nothing_keeps_a_little)
{
	struct target two[2] = {{.size_bytes = 64000}};

	for (int i = 0; i < 1000; i++) {
		two[1].regret_bytes = 64000;
		set(0, 0, two, 2);
	}
	cr_expect_gt(two[0].bytes, 900);
	cr_expect_lt(two[0].bytes, 2000);
	for (int i = 0; i < 200; i++) {
		two[0].regret_bytes = 64000;
		set(0, 0, two, 2);
	}
	cr_expect_gt(two[0].bytes, 32000, "and can have it back");
}

Test(target, figures_that_cannot_be)
{
	struct target two[2] = {{.size_bytes = SIZE_MAX, .regret_bytes = UINT64_MAX},
	                        {.size_bytes = SIZE_MAX, .regret_bytes = UINT64_MAX}};

	for (int i = 0; i < 100; i++) {
		two[0].regret_bytes = UINT64_MAX;
		set(SIZE_MAX - 1, 1, two, 2);
		cr_assert_geq(two[0].bytes, two[1].bytes);
	}
}
