/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that allocate in many groups, resize and free each other's blocks, make groups, threads
 * inside of them, and destroy them with blocks left, while limits change. Now and then they stop,
 * and what is charged is held against jemalloc's own statistics.
 *
 *     groups [SECONDS [SEED]]
 *
 * Ends with a line of what was done, and status 0 if all contents were right, each block was in its
 * group, and the charges were right to 2 %.
 */
#include <err.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "blocks.h"
#include "je.h"
#include "oomreclaim_group.h"

#define TENANTS 4
#define CHILDREN 3 /* of each tenant, which stay */
#define WORKERS 6
#define SHARED 4096 /* blocks that anybody may take */
#define LOOKS 5
#define MIB ((size_t)1 << 20)

/* In front of each block's pattern. */
struct head {
	size_t size; /* of all of it */
	oomreclaim_group group, tenant;
	unsigned char pattern;
};

static oomreclaim_group tenants[TENANTS], children[TENANTS][CHILDREN];
static struct head *_Atomic shared[SHARED];
static atomic_bool is_over;
static _Atomic uint64_t operations, refused, destroyed, limits, helped;

static size_t size_of(struct dice *dice)
{
	static const size_t most[] = {64, 512, 4000, 40000, 400000};

	return sizeof(struct head) +
	       dice_roll(dice, most[dice_once_in(dice, 50) ? 4 : dice_roll(dice, 4)]);
}

/* Of a group that was destroyed the parent has it. */
static void check_group(const struct head *block)
{
	oomreclaim_group of = oomreclaim_group_of(block);

	MUST(of == block->group || of == block->tenant);
}

static void check_pattern(const struct head *block, size_t size)
{
	const unsigned char *at = (const unsigned char *)block;

	for (size_t i = sizeof *block; i < size; i++)
		MUST(at[i] == block->pattern);
}

static void fill(struct head *block, size_t size, unsigned char pattern)
{
	memset(block + 1, pattern, size - sizeof *block);
	block->size = size;
	block->pattern = pattern;
}

/* By one of the ways to a block. */
static struct head *new_block(struct dice *dice, oomreclaim_group group, oomreclaim_group tenant)
{
	size_t size = size_of(dice);
	struct head *block = NULL;
	void *aligned = NULL;

	switch (dice_roll(dice, 6)) {
	case 0:
		block = calloc(1, size);
		break;
	case 1:
		block = aligned_alloc(256, (size + 255) / 256 * 256);
		break;
	case 2:
		block = posix_memalign(&aligned, 64, size) == 0 ? aligned : NULL;
		break;
	case 3:
		block = mallocx(size, MALLOCX_LG_ALIGN(5));
		break;
	default:
		block = malloc(size);
	}
	if (block == NULL) {
		atomic_fetch_add(&refused, 1);
		return NULL;
	}
	MUST(oomreclaim_group_of(block) == group);
	block->group = group;
	block->tenant = tenant;
	fill(block, size, (unsigned char)dice_roll(dice, 256));
	return block;
}

static void end_block(struct head *block)
{
	if (block == NULL)
		return;
	check_pattern(block, block->size);
	free(block);
}

static struct head *resize(struct dice *dice, struct head *block)
{
	size_t before = block->size, size = size_of(dice);
	struct head *moved = realloc(block, size);

	if (moved == NULL) {
		atomic_fetch_add(&refused, 1);
		return block;
	}
	check_group(moved);
	check_pattern(moved, before < size ? before : size);
	fill(moved, size, moved->pattern);
	return moved;
}

static void step(struct dice *dice, oomreclaim_group group, oomreclaim_group tenant)
{
	size_t at = dice_roll(dice, SHARED);
	struct head *block = new_block(dice, group, tenant), *other;

	if (block == NULL && !dice_once_in(dice, 2))
		return;
	other = atomic_exchange(&shared[at], block);
	if (other == NULL)
		return;
	check_group(other);
	if (dice_once_in(dice, 3))
		other = atomic_exchange(&shared[dice_roll(dice, SHARED)], resize(dice, other));
	end_block(other);
}

/* A thread that was made inside. */
struct helper {
	struct dice dice;
	oomreclaim_group group, tenant;
	pthread_t thread;
};

static void *help(void *arg)
{
	struct helper *helper = arg;

	/* A limit may leave no room for what it takes to begin inside. */
	if (oomreclaim_group_current() == OOMRECLAIM_GROUP_ROOT)
		return NULL;
	MUST(oomreclaim_group_current() == helper->group);
	for (int i = 0; i < 50; i++)
		step(&helper->dice, helper->group, helper->tenant);
	atomic_fetch_add(&helped, 1);
	return NULL;
}

/* It goes on when this thread has left. */
static bool begin_help(struct helper *helper)
{
	MUST(oomreclaim_group_set(helper->group, OOMRECLAIM_GROUP_INHERIT, 1) == 0);
	return pthread_create(&helper->thread, NULL, help, helper) == 0;
}

/* A group for some steps, which leaves its blocks to its parent. */
static void pass(struct dice *dice, oomreclaim_group tenant)
{
	struct helper helper = {.dice.state = dice_roll(dice, SIZE_MAX), .tenant = tenant};
	oomreclaim_group group;
	bool is_helped = false;

	if (oomreclaim_group_create("passing", tenant, &group) != 0)
		return;
	helper.group = group;
	oomreclaim_group_enter(group);
	if (oomreclaim_group_current() == group) {
		is_helped = dice_once_in(dice, 4) && begin_help(&helper);
		for (int i = 0; i < 50; i++)
			step(dice, group, tenant);
	}
	oomreclaim_group_enter(OOMRECLAIM_GROUP_ROOT);
	if (is_helped)
		MUST(pthread_join(helper.thread, NULL) == 0);
	MUST(oomreclaim_group_destroy(group, 0) == 0);
	atomic_fetch_add(&destroyed, 1);
}

static void *work(void *arg)
{
	struct dice *dice = arg;

	while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
		size_t tenant = dice_roll(dice, TENANTS), child = dice_roll(dice, CHILDREN + 1);
		oomreclaim_group group =
			child < CHILDREN ? children[tenant][child] : tenants[tenant];

		if (dice_once_in(dice, 100)) {
			pass(dice, tenants[tenant]);
			continue;
		}
		oomreclaim_group_enter(group);
		/* A limit may leave no room for what entering takes. */
		if (oomreclaim_group_current() == group)
			for (int i = 0; i < 20; i++)
				step(dice, group, tenants[tenant]);
		atomic_fetch_add_explicit(&operations, 20, memory_order_relaxed);
	}
	oomreclaim_group_enter(OOMRECLAIM_GROUP_ROOT);
	return NULL;
}

static uint64_t charged(oomreclaim_group group)
{
	struct oomreclaim_group_stats stats;

	MUST(oomreclaim_group_stats(group, &stats, sizeof stats) == 0);
	return stats.charged;
}

/* While threads are at work: below what is charged, above it, none. */
static void change_limit(struct dice *dice)
{
	oomreclaim_group group = tenants[dice_roll(dice, TENANTS)];
	int64_t max = (int64_t)(charged(group) / 2 + dice_roll(dice, 8 * MIB) + MIB);

	if (dice_once_in(dice, 3))
		group = children[dice_roll(dice, TENANTS)][dice_roll(dice, CHILDREN)];
	if (dice_once_in(dice, 3))
		max = OOMRECLAIM_GROUP_NONE;
	MUST(oomreclaim_group_set(group, OOMRECLAIM_GROUP_MAX, max) == 0);
	atomic_fetch_add(&limits, 1);
}

static size_t read_size(const char *name)
{
	size_t value = 0, length = sizeof value;

	MUST(mallctl(name, &value, &length, NULL, 0) == 0);
	return value;
}

static unsigned arenas(void)
{
	size_t length = sizeof(unsigned);
	unsigned count;

	MUST(mallctl("arenas.narenas", &count, &length, NULL, 0) == 0);
	return count;
}

/* Of all arenas that came with groups: pages in use, and those that are free and kept. */
static size_t pages_from(unsigned first)
{
	static const char *const kinds[] = {"pactive", "pdirty", "pmuzzy"};
	uint64_t epoch = 1;
	size_t pages = 0;
	char name[64];

	MUST(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
	for (unsigned i = first; i < arenas(); i++)
		for (size_t j = 0; j < 3; j++) {
			snprintf(name, sizeof name, "stats.arenas.%u.%s", i, kinds[j]);
			pages += read_size(name);
		}
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* With no thread at work. The whole is the sum of its parts, and what jemalloc counts. */
static void look(unsigned first)
{
	size_t sum = 0, pages;

	for (size_t i = 0; i < TENANTS; i++) {
		struct oomreclaim_group_stats stats;
		size_t parts;

		MUST(oomreclaim_group_stats(tenants[i], &stats, sizeof stats) == 0);
		parts = stats.own;
		for (size_t j = 0; j < CHILDREN; j++)
			parts += charged(children[i][j]);
		MUST(parts == stats.charged);
		MUST(stats.children == CHILDREN && stats.threads == 0);
		sum += stats.charged;
	}
	pages = pages_from(first);
	MUST(sum <= pages + pages / 50 && pages <= sum + sum / 50);
}

static void run_for(double seconds, struct dice dice[WORKERS + 1])
{
	const struct timespec pause = {.tv_nsec = 5000000};
	pthread_t threads[WORKERS];
	time_t end = time(NULL) + (time_t)seconds;

	atomic_store(&is_over, false);
	for (size_t i = 0; i < WORKERS; i++)
		MUST(pthread_create(&threads[i], NULL, work, &dice[i]) == 0);
	do {
		change_limit(&dice[WORKERS]);
		nanosleep(&pause, NULL);
	} while (time(NULL) < end);
	atomic_store(&is_over, true);
	for (size_t i = 0; i < WORKERS; i++)
		MUST(pthread_join(threads[i], NULL) == 0);
}

static oomreclaim_group make(const char *name, oomreclaim_group parent)
{
	oomreclaim_group group = 0;

	MUST(oomreclaim_group_create(name, parent, &group) == 0);
	return group;
}

/* Nothing is left in a group of which all blocks were freed. */
static void end_all(void)
{
	for (size_t i = 0; i < SHARED; i++)
		end_block(shared[i]);
	malloc_trim(0);
	for (size_t i = 0; i < TENANTS; i++) {
		MUST(charged(tenants[i]) == 0);
		for (size_t j = 0; j < CHILDREN; j++)
			MUST(oomreclaim_group_destroy(children[i][j], 0) == 0);
		MUST(oomreclaim_group_destroy(tenants[i], 0) == 0);
	}
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 10;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	struct dice dice[WORKERS + 1];
	unsigned first;

	/* With the first group comes the reserve's arena, which is no group's. */
	MUST(oomreclaim_group_destroy(make("first", OOMRECLAIM_GROUP_ROOT), 0) == 0);
	first = arenas();
	for (size_t i = 0; i <= WORKERS; i++)
		dice[i].state = seed * 1000 + i;
	for (size_t i = 0; i < TENANTS; i++) {
		tenants[i] = make("tenant", OOMRECLAIM_GROUP_ROOT);
		for (size_t j = 0; j < CHILDREN; j++)
			children[i][j] = make("child", tenants[i]);
	}
	for (int i = 0; i < LOOKS; i++) {
		run_for(seconds / LOOKS, dice);
		look(first);
	}
	end_all();
	printf("%lu operations, %lu got no memory, %lu groups destroyed, %lu limits set, %lu threads "
	       "made inside\n",
	       operations, refused, destroyed, limits, helped);
	/* Else it was no stress. */
	MUST(operations > 0 && refused > 0 && destroyed > 0 && limits > 0 && helped > 0);
	return EXIT_SUCCESS;
}
