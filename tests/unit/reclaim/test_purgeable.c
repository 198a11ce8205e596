/* SPDX-License-Identifier: BSD-2-Clause */
/* Purgeable blocks: which goes first, what a pin holds, and who asks for them. */
#include <malloc.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reclaim/purgeable.h"
#include "reclaim/registry.h"
#include "shrinkers.h"

TestSuite(purgeable, .init = support_init, .timeout = WATCHDOG_SECONDS);

#define BYTES (64 * KIB)

static struct oomreclaim_purgeable *add_unpinned(unsigned cost)
{
	struct oomreclaim_purgeable *purgeable = oomreclaim_purgeable_alloc(BYTES, cost);

	cr_assert_not_null(purgeable);
	cr_assert_eq(oomreclaim_purgeable_unpin(purgeable), 0);
	return purgeable;
}

static bool is_lost(struct oomreclaim_purgeable *purgeable)
{
	if (oomreclaim_purgeable_pin(purgeable) == NULL)
		return true;
	cr_expect_eq(oomreclaim_purgeable_unpin(purgeable), 0);
	return false;
}

static uint64_t purgeable_bytes(void)
{
	struct purgeable_totals totals;

	purgeable_totals(&totals);
	return totals.bytes;
}

/* ---- The shrinker ---- */

Test(purgeable, of_two_that_make_the_first_block_one_makes_the_shrinker)
{
	void *memory = malloc(registry_entry_bytes);

	add_unpinned(1);
	cr_expect_eq(purgeable_enlist(memory, free), 0);
	free(memory);
}

/* ---- Pins ---- */

Test(purgeable, a_pinned_block_is_an_ordinary_one_and_stays)
{
	struct oomreclaim_purgeable *purgeable;
	char *block;

	errno = ERRNO_UNTOUCHED;
	purgeable = oomreclaim_purgeable_alloc(BYTES, 1);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	block = oomreclaim_purgeable_block(purgeable);
	cr_assert_not_null(block);
	cr_expect_geq(malloc_usable_size(block), BYTES);
	memset(block, 'a', BYTES);
	cr_expect_eq(want(BYTES).claimed_bytes, 0);
	cr_expect_eq(purgeable_bytes(), 0);
	cr_expect_eq(oomreclaim_purgeable_unpin(purgeable), 0);
	cr_expect_eq(purgeable_bytes(), malloc_usable_size(block));
	cr_expect_null(oomreclaim_purgeable_block(purgeable));
	cr_expect_eq(oomreclaim_purgeable_pin(purgeable), block);
	cr_expect_eq(purgeable_bytes(), 0);
	cr_expect(block[0] == 'a' && block[BYTES - 1] == 'a');
	oomreclaim_purgeable_free(purgeable);
}

Test(purgeable, what_is_not_pinned_is_taken_and_reported_lost)
{
	struct oomreclaim_purgeable *purgeable = add_unpinned(1);
	struct oomreclaim_stats stats;
	size_t bytes = (size_t)purgeable_bytes();

	cr_expect_eq(want(1).claimed_bytes, bytes);
	cr_expect_eq(purgeable_bytes(), 0);
	cr_expect_null(oomreclaim_purgeable_pin(purgeable));
	cr_expect_null(oomreclaim_purgeable_block(purgeable));
	cr_expect_null(oomreclaim_purgeable_take(purgeable));
	cr_expect_eq(oomreclaim_purgeable_unpin(purgeable), EINVAL, "it is not pinned by that");
	cr_expect_eq(want(1).claimed_bytes, 0);
	cr_assert_eq(oomreclaim_stats_get(&stats, sizeof stats), 0);
	cr_expect_eq(stats.purgeable, 0);
	cr_expect_eq(stats.purged, bytes);
	oomreclaim_purgeable_free(purgeable);
}

Test(purgeable, pins_are_counted)
{
	struct oomreclaim_purgeable *purgeable = add_unpinned(1);

	cr_expect_not_null(oomreclaim_purgeable_pin(purgeable));
	cr_expect_not_null(oomreclaim_purgeable_pin(purgeable));
	cr_expect_eq(oomreclaim_purgeable_unpin(purgeable), 0);
	cr_expect_eq(want(BYTES).claimed_bytes, 0, "one is held still");
	cr_expect_not_null(oomreclaim_purgeable_block(purgeable));
	cr_expect_eq(oomreclaim_purgeable_unpin(purgeable), 0);
	cr_expect_eq(oomreclaim_purgeable_unpin(purgeable), EINVAL);
	cr_expect_eq(oomreclaim_purgeable_unpin(purgeable), EINVAL);
	cr_expect_gt(want(BYTES).claimed_bytes, 0, "once, whatever else was undone");
	oomreclaim_purgeable_free(purgeable);
	cr_expect_eq(purgeable_bytes(), 0);
}

Test(purgeable, bad_arguments)
{
	static const unsigned costs[] = {0, OOMRECLAIM_COST_MAX + 1, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(costs); i++) {
		errno = 0;
		cr_expect_null(oomreclaim_purgeable_alloc(1, costs[i]));
		cr_expect_eq(errno, EINVAL);
	}
	cr_expect_eq(registered(), 0);
	cr_expect_null(oomreclaim_purgeable_pin(NULL));
	cr_expect_null(oomreclaim_purgeable_block(NULL));
	cr_expect_null(oomreclaim_purgeable_take(NULL));
	cr_expect_eq(oomreclaim_purgeable_unpin(NULL), EINVAL);
	oomreclaim_purgeable_free(NULL);
}

Test(purgeable, a_block_that_is_taken_out_is_the_programs)
{
	struct oomreclaim_purgeable *purgeable = add_unpinned(OOMRECLAIM_COST_MAX);
	char *block;

	cr_expect_null(oomreclaim_purgeable_take(purgeable), "it is not pinned");
	block = oomreclaim_purgeable_pin(purgeable);
	block[0] = 'a';
	cr_expect_not_null(oomreclaim_purgeable_pin(purgeable));
	cr_expect_null(oomreclaim_purgeable_take(purgeable), "another has it pinned");
	cr_expect_eq(oomreclaim_purgeable_unpin(purgeable), 0);
	cr_expect_eq(oomreclaim_purgeable_take(purgeable), block);
	cr_expect_eq(want(BYTES).claimed_bytes, 0);
	block = realloc(block, 2 * BYTES);
	cr_assert_not_null(block);
	cr_expect_eq(block[0], 'a');
	free(block);
}

Test(purgeable, freed_in_whatever_state)
{
	struct oomreclaim_purgeable *blocks[5];

	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++)
		blocks[i] = add_unpinned(1);
	/* The first, the last, one between them, one that is pinned, and the only one. */
	cr_expect_not_null(oomreclaim_purgeable_pin(blocks[1]));
	oomreclaim_purgeable_free(blocks[0]);
	oomreclaim_purgeable_free(blocks[4]);
	oomreclaim_purgeable_free(blocks[1]);
	cr_expect_gt(purgeable_bytes(), BYTES);
	oomreclaim_purgeable_free(blocks[2]);
	oomreclaim_purgeable_free(blocks[3]);
	cr_expect_eq(purgeable_bytes(), 0);
	cr_expect_eq(want(BYTES).claimed_bytes, 0);
}

/* ---- Which goes first ---- */

Test(purgeable, the_one_unpinned_first_goes_first)
{
	struct oomreclaim_purgeable *a = add_unpinned(2), *b = add_unpinned(3),
				    *c = add_unpinned(2);

	/* Used once more. */
	cr_expect_not(is_lost(a));
	cr_expect_gt(want(1).claimed_bytes, 0);
	cr_expect(is_lost(b));
	cr_expect_gt(want(1).claimed_bytes, 0);
	cr_expect(is_lost(c));
	cr_expect_not(is_lost(a));
	oomreclaim_purgeable_free(a);
	oomreclaim_purgeable_free(b);
	oomreclaim_purgeable_free(c);
}

Test(purgeable, no_more_is_taken_than_is_wanted)
{
	struct oomreclaim_purgeable *blocks[8];
	unsigned lost = 0;

	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++)
		blocks[i] = add_unpinned(1);
	cr_expect_geq(want(3 * BYTES).claimed_bytes, 3 * BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
		lost += is_lost(blocks[i]);
		cr_expect_eq(is_lost(blocks[i]), i < 3);
		oomreclaim_purgeable_free(blocks[i]);
	}
	cr_expect_eq(lost, 3);
}

/* How many blocks of cost 1 are taken before one of that cost is. */
static unsigned survives(unsigned cost)
{
	struct oomreclaim_purgeable *dear = add_unpinned(cost), *cheap;
	unsigned taken = 0;

	for (;;) {
		cheap = add_unpinned(1);
		want(1);
		if (!is_lost(cheap))
			break;
		oomreclaim_purgeable_free(cheap);
		taken++;
	}
	cr_expect(is_lost(dear));
	oomreclaim_purgeable_free(cheap);
	oomreclaim_purgeable_free(dear);
	return taken;
}

Test(purgeable, what_costs_more_stays_longer_but_not_for_ever)
{
	unsigned of_8 = survives(8), of_16 = survives(16), of_1000 = survives(1000);

	cr_expect_gt(of_8, 4, "%u", of_8);
	cr_expect(of_16 >= 2 * of_8 && of_16 <= 2 * of_8 + 2, "%u, %u", of_8, of_16);
	cr_expect(of_1000 > 30 * of_16 && of_1000 < 1024, "%u", of_1000);
}

/* ---- Among others ---- */

Test(purgeable, before_every_callback)
{
	struct oomreclaim_purgeable *a = add_unpinned(OOMRECLAIM_COST_MAX), *b = add_unpinned(1);
	struct cache cache = {.bytes = MIB};
	unsigned calls = 0;

	oomreclaim_register("high", OOMRECLAIM_PRIORITY_PURGEABLE - 1, 0, give_nothing, &calls,
	                    NULL);
	cache_add_with(&cache, OOMRECLAIM_PRIORITY_PURGEABLE - 1, 1, 0);
	cr_expect_eq(registered(), 3, "one for all blocks");
	cr_expect_geq(want(2 * BYTES).claimed_bytes, 2 * BYTES);
	cr_expect_eq(calls, 0);
	cr_expect_eq(cache.lost, 0);
	cr_expect(is_lost(a) && is_lost(b));
	cr_expect_geq(want(BYTES).claimed_bytes, BYTES);
	cr_expect_eq(cache.lost, BYTES);
	oomreclaim_purgeable_free(a);
	oomreclaim_purgeable_free(b);
}

Test(purgeable, only_what_was_cheaper_still_comes_before)
{
	struct oomreclaim_purgeable *a = add_unpinned(1);
	unsigned calls = 0;

	oomreclaim_register("first", OOMRECLAIM_PRIORITY_PURGEABLE, 0, give_nothing, &calls, NULL);
	cr_expect_gt(want(1).claimed_bytes, 0);
	cr_expect_eq(calls, 1);
	oomreclaim_purgeable_free(a);
}

static struct oomreclaim_purgeable *kept;
static oomreclaim_handle pinning;

/* All that a callback may do with them. */
static size_t pin_and_add(const struct oomreclaim_control *control, void *arg)
{
	struct oomreclaim_purgeable *added = add_unpinned(1);

	(void)control;
	(void)arg;
	cr_expect_not_null(oomreclaim_purgeable_pin(kept));
	cr_expect_not_null(oomreclaim_purgeable_pin(added));
	oomreclaim_purgeable_free(added);
	return 0;
}

Test(purgeable, a_callback_pins)
{
	kept = add_unpinned(1);
	oomreclaim_register("pins", OOMRECLAIM_PRIORITY_PURGEABLE, 0, pin_and_add, NULL, &pinning);
	cr_expect_eq(want(BYTES).claimed_bytes, 0, "pinned just before it would have been taken");
	cr_expect_eq(oomreclaim_unregister(pinning), 0);
	cr_expect_eq(oomreclaim_purgeable_unpin(kept), 0);
	cr_expect_gt(want(BYTES).claimed_bytes, 0);
	oomreclaim_purgeable_free(kept);
}

/* ---- Threads and fork() ---- */

static struct gate is_held = GATE, is_tried = GATE;

static void hold(void)
{
	oomreclaim_purgeable_pin(kept);
	gate_open(&is_held);
	gate_wait(&is_tried);
	oomreclaim_purgeable_unpin(kept);
}

Test(purgeable, nothing_is_taken_that_another_thread_has_pinned)
{
	struct thread thread;

	kept = add_unpinned(1);
	thread_start(&thread, hold);
	gate_wait(&is_held);
	cr_expect_not_null(oomreclaim_purgeable_pin(kept));
	cr_expect_eq(oomreclaim_purgeable_unpin(kept), 0);
	cr_expect_eq(want(BYTES).claimed_bytes, 0);
	gate_open(&is_tried);
	thread_join(&thread);
	cr_expect_gt(want(BYTES).claimed_bytes, 0);
	oomreclaim_purgeable_free(kept);
}

#define ROUNDS 20000
#define SHARED 4
static struct oomreclaim_purgeable *shared[SHARED];
static atomic_uint wrong, hits;
static atomic_bool is_over;

/* Readers of one content: nobody else writes to it while they look. */
static void pin_and_look(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		const unsigned char *block = oomreclaim_purgeable_pin(shared[i % SHARED]);

		if (block == NULL)
			continue;
		atomic_fetch_add(&hits, 1);
		for (size_t at = 0; at < 512; at++)
			if (block[at] != i % SHARED)
				atomic_fetch_add(&wrong, 1);
		oomreclaim_purgeable_unpin(shared[i % SHARED]);
	}
}

static void take_and_overwrite(void)
{
	const struct oomreclaim_control control = {.bytes_wanted = 1};

	/* Not before a reader has seen the content, which is there only once. */
	while (atomic_load(&hits) == 0)
		sched_yield();
	while (!atomic_load(&is_over)) {
		size_t bytes = purgeable_scan(&control, NULL);
		void *other = malloc(512);

		if (other != NULL)
			memset(other, 0xee, 512);
		free(other);
		if (bytes == 0)
			usleep(1);
	}
}

Test(purgeable, threads_that_pin_while_one_takes)
{
	struct thread readers[3], taker;

	for (size_t i = 0; i < SHARED; i++) {
		shared[i] = oomreclaim_purgeable_alloc(512, 1);
		memset(oomreclaim_purgeable_block(shared[i]), (int)i, 512);
	}
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
		thread_start(&readers[i], pin_and_look);
	for (size_t i = 0; i < SHARED; i++)
		oomreclaim_purgeable_unpin(shared[i]);
	thread_start(&taker, take_and_overwrite);
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
		thread_join(&readers[i]);
	atomic_store(&is_over, true);
	thread_join(&taker);
	cr_expect_eq(wrong, 0);
	cr_expect_gt(hits, 0);
	for (size_t i = 0; i < SHARED; i++)
		oomreclaim_purgeable_free(shared[i]);
	cr_expect_eq(purgeable_bytes(), 0);
}

static struct oomreclaim_purgeable *lost_in_child;

static void use_in_child(void)
{
	if (oomreclaim_purgeable_block(kept) == NULL || oomreclaim_purgeable_unpin(kept) != 0)
		_exit(1);
	/* The third one may be pinned by the other thread, which is not here. */
	if (want(4 * BYTES).claimed_bytes < 2 * BYTES)
		_exit(2);
	if (!is_lost(kept) || !is_lost(lost_in_child))
		_exit(3);
	oomreclaim_purgeable_free(kept);
	oomreclaim_purgeable_free(add_unpinned(1));
}

static void pin_always(void)
{
	while (!atomic_load(&is_over))
		if (oomreclaim_purgeable_pin(shared[0]) != NULL)
			oomreclaim_purgeable_unpin(shared[0]);
}

/* The lock may be held by a thread that the child does not have. */
Test(purgeable, a_child_has_its_own)
{
	struct thread thread;

	kept = oomreclaim_purgeable_alloc(BYTES, 1);
	lost_in_child = add_unpinned(1);
	shared[0] = add_unpinned(1);
	thread_start(&thread, pin_always);
	for (unsigned i = 0; i < 100; i++) {
		int status = run_child(use_in_child);

		cr_assert_eq(status, 0, "%#x", (unsigned)status);
	}
	atomic_store(&is_over, true);
	thread_join(&thread);
	cr_expect_not_null(oomreclaim_purgeable_block(kept));
	cr_expect_not(is_lost(lost_in_child));
	oomreclaim_purgeable_free(kept);
	oomreclaim_purgeable_free(lost_in_child);
	oomreclaim_purgeable_free(shared[0]);
}
