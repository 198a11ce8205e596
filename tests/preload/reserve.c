/* SPDX-License-Identifier: BSD-2-Clause */
/* The reserve: what a callback allocates when RLIMIT_AS leaves nothing. */
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "je.h"
#include "oomreclaim.h"
#include "oomreclaim_group.h"

enum { ROUNDS = 1000 };

static struct pool pool;
static bool is_live;
static int calls;

static const size_t sizes[] = {1,         16,        100,       1000,       4096,      5000,
                               14 * 1024, 16 * 1024, 64 * 1024, 256 * 1024, 512 * 1024};

static bool holds(const unsigned char *block, size_t bytes, unsigned char value)
{
	for (size_t i = 0; i < bytes; i++)
		if (block[i] != value)
			return false;
	return true;
}

/* Blocks of every form, a different size each round; all is freed again. */
static size_t use(const struct oomreclaim_control *control, void *arg)
{
	size_t bytes = sizes[(size_t)calls % COUNT(sizes)];
	unsigned char *block, *zeroed, *grown;
	void *aligned = NULL;

	(void)control, (void)arg;
	if (!is_live)
		return 0;
	calls++;
	errno = ERRNO_UNTOUCHED;
	CHECK((block = malloc(bytes)));
	memset(block, 1, bytes);
	CHECK(holds(block, bytes, 1));
	free(block);
	CHECK((zeroed = calloc(1, bytes)));
	CHECK(holds(zeroed, bytes, 0));
	memset(zeroed, 2, bytes);
	free(zeroed);
	CHECK(posix_memalign(&aligned, 4096, bytes) == 0 && (uintptr_t)aligned % 4096 == 0);
	memset(aligned, 3, bytes);
	free(aligned);
	/* From the reserve to the reserve; both are there for a moment. */
	CHECK((block = malloc(bytes / 3 + 1)));
	memset(block, 4, bytes / 3 + 1);
	CHECK((grown = realloc(block, bytes)));
	CHECK(holds(grown, bytes / 3 + 1, 4));
	free(grown);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
	return 0;
}

static size_t reserve_now(void)
{
	struct oomreclaim_stats stats = {0};

	CHECK(oomreclaim_stats_get(&stats, sizeof stats) == 0);
	return stats.reserve;
}

static void rounds(void)
{
	CHECK(oomreclaim_register("use", 0, 0, use, NULL, NULL) == 0);
	exhaust(&pool);
	is_live = true;
	for (int i = 0; i < ROUNDS; i++) {
		errno = 0;
		CHECK(!malloc(64 * MIB / 2));
		CHECK_EQ(errno, ENOMEM);
	}
	CHECK_EQ(calls, ROUNDS);
	/* The heap has got nothing of it. */
	CHECK_EQ(reserve_now(), MIB);
}

/* What is in reserve is there however often all that is free is given back. */
static void trimmed(void)
{
	CHECK(oomreclaim_register("use", 0, 0, use, NULL, NULL) == 0);
	malloc_trim(0);
	exhaust(&pool);
	is_live = true;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		CHECK(!malloc(64 * MIB / 2));
		malloc_trim(0);
	}
	CHECK_EQ(calls, COUNT(sizes));
}

/* A block that was there before, and has to grow. */
static size_t grow(const struct oomreclaim_control *control, void *arg)
{
	unsigned char **block = arg;

	(void)control;
	if (!is_live)
		return 0;
	calls++;
	CHECK((*block = realloc(*block, 300 * KIB)));
	CHECK(holds(*block, 200 * KIB, 7));
	return 0;
}

static void growth(void)
{
	unsigned char *block = malloc(200 * KIB);

	CHECK(block);
	memset(block, 7, 200 * KIB);
	CHECK(oomreclaim_register("grow", 0, 0, grow, &block, NULL) == 0);
	exhaust(&pool);
	is_live = true;
	CHECK(!malloc(MIB));
	CHECK_EQ(calls, 1);
	free(block);
}

/* What the callback keeps goes back to the reserve when it is freed, by whichever thread. */
static void *kept[3];

static size_t keep(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	if (!is_live)
		return 0;
	calls++;
	for (size_t i = 0; i < COUNT(kept); i++)
		CHECK((kept[i] = malloc(256 * KIB)));
	/* That was three quarters. */
	CHECK(!malloc(512 * KIB));
	return 0;
}

static void *free_kept(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < COUNT(kept); i++)
		free(kept[i]);
	return NULL;
}

static void keeping(void)
{
	pthread_attr_t attr;
	pthread_t other;

	CHECK(oomreclaim_register("keep", 0, 0, keep, NULL, NULL) == 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * KIB);
	for (int i = 0; i < 100; i++) {
		exhaust(&pool);
		is_live = true;
		CHECK(!malloc(MIB));
		is_live = false;
		CHECK_EQ(calls, i + 1);
		if (i % 10) {
			free_kept(NULL);
			continue;
		}
		CHECK(space_release(8 * MIB) >= 8 * MIB);
		CHECK(pthread_create(&other, &attr, free_kept, NULL) == 0);
		pthread_join(other, NULL);
	}
}

/* Run with reserve:0. The control experiment: it is the reserve that served the rest. */
static size_t use_none(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	calls++;
	for (size_t i = 0; i < COUNT(sizes); i++)
		if (is_live && sizes[i] >= 4096) {
			errno = 0;
			CHECK(!malloc(sizes[i]));
			CHECK_EQ(errno, ENOMEM);
		}
	return 0;
}

static void none(void)
{
	CHECK(oomreclaim_register("none", 0, 0, use_none, NULL, NULL) == 0);
	exhaust(&pool);
	is_live = true;
	calls = 0;
	CHECK(!malloc(64 * KIB));
	CHECK_EQ(calls, 1);
}

/* Nobody but callbacks gets it: what they give back stays in no cache of the thread. */
static size_t borrow(const struct oomreclaim_control *control, void *arg)
{
	void *blocks[10];

	(void)arg;
	if (!is_live)
		return 0;
	calls++;
	for (size_t i = 0; i < COUNT(blocks); i++)
		CHECK((blocks[i] = malloc(control->size)));
	for (size_t i = 0; i < COUNT(blocks); i++)
		free(blocks[i]);
	return 0;
}

static void not_for_all(void)
{
	CHECK(oomreclaim_register("borrow", 0, 0, borrow, NULL, NULL) == 0);
	exhaust(&pool);
	is_live = true;
	for (size_t bytes = 64; bytes <= 64 * KIB; bytes *= 2) {
		calls = 0;
		CHECK(!malloc(bytes));
		CHECK_EQ(calls, 1);
	}
}

/* jemalloc's own threads, of which some arenas have one. */
static unsigned count_background(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	unsigned count = 0;

	CHECK(tasks);
	while ((task = readdir(tasks)) != NULL) {
		char path[300], name[32] = "";
		FILE *comm;

		snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
		comm = fopen(path, "re");
		if (comm == NULL)
			continue;
		count += fgets(name, sizeof name, comm) && !strcmp(name, "jemalloc_bg_thd\n");
		fclose(comm);
	}
	closedir(tasks);
	return count;
}

/* There is one for what jemalloc's only arena has, and none for the reserve's. */
static void no_background(void)
{
	bool on = true, was = false;
	size_t length = sizeof was;

	CHECK(oomreclaim_register("none", 0, 0, check_give_nothing, NULL, NULL) == 0);
	CHECK_EQ(mallctl("background_thread", &was, &length, &on, sizeof on), 0);
	for (unsigned i = 0; i < 100 && count_background() == 0; i++)
		usleep(10000);
	/* Each is made by the first. */
	usleep(200000);
	CHECK_EQ(count_background(), 1);
}

/* But for the one for huge blocks, which is always there. */
static unsigned count_arenas(void)
{
	unsigned arenas, usual;

	JE_READ("arenas.narenas", &arenas);
	JE_READ("opt.narenas", &usual);
	return arenas - usual - 1;
}

/* Without a callback there is no arena for it; with one, there is one for all. */
static void arena(void)
{
	CHECK_EQ(count_arenas(), 0);
	for (int i = 0; i < 3; i++) {
		CHECK(oomreclaim_register("none", 0, 0, check_give_nothing, NULL, NULL) == 0);
		CHECK_EQ(count_arenas(), 1);
	}
}

static enum oomreclaim_policy decide(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)arg;
	return verdict->policy;
}

static void arena_for_policy(void)
{
	CHECK(oomreclaim_set_policy_callback(NULL, NULL) == 0);
	CHECK_EQ(count_arenas(), 0);
	CHECK(oomreclaim_set_policy_callback(decide, NULL) == 0);
	CHECK_EQ(count_arenas(), 1);
}

static void arena_for_group(void)
{
	oomreclaim_group group;

	CHECK(oomreclaim_group_create("group", OOMRECLAIM_GROUP_ROOT, &group) == 0);
	/* Its own is made when a thread enters it. */
	CHECK_EQ(count_arenas(), 1);
}

static void *alloc_from_reserve(size_t bytes)
{
	unsigned old = oomreclaim_scope_save(OOMRECLAIM_SCOPE_RESERVE);
	void *block = malloc(bytes);

	oomreclaim_scope_restore(old);
	return block;
}

/* Without a callback: blocks from the one mapping, and again when they are freed. */
static void mapping(void)
{
	oomreclaim_handle handle;
	void *blocks[3];

	exhaust(&pool);
	CHECK_EQ(reserve_now(), MIB);
	for (size_t i = 0; i < COUNT(blocks); i++) {
		CHECK((blocks[i] = alloc_from_reserve(256 * KIB)));
		memset(blocks[i], 0x5a, 256 * KIB);
	}
	CHECK_EQ(reserve_now(), 0);
	for (size_t i = 0; i < COUNT(blocks); i++)
		free(blocks[i]);
	/* Slabs of small blocks stay, and may lie between two larger halves. */
	for (int round = 0; round < 100; round++)
		for (size_t i = 0; i < COUNT(sizes) && sizes[i] <= 256 * KIB; i++) {
			void *block = alloc_from_reserve(sizes[i]);

			CHECK(block);
			memset(block, 0x5a, sizes[i]);
			free(block);
		}
	CHECK(!alloc_from_reserve(2 * MIB));
	CHECK_EQ(count_arenas(), 0);
	/* No room for a second one, as often as a callback comes; and then there is. */
	for (int i = 0; i < 1000; i++)
		CHECK(oomreclaim_register("none", 0, 0, check_give_nothing, NULL, &handle) == 0 &&
		      oomreclaim_unregister(handle) == 0);
	CHECK_EQ(reserve_now(), 0);
	CHECK(space_release(8 * MIB) >= 8 * MIB);
	CHECK(oomreclaim_register("none", 0, 0, check_give_nothing, NULL, NULL) == 0);
	CHECK_EQ(count_arenas(), 1);
	CHECK_EQ(reserve_now(), MIB);
}

/* There is no room for an arena: no attempt leaves anything. */
static void no_arena(void)
{
	void *blocks[16];
	oomreclaim_handle handle;

	for (size_t i = 0; i < COUNT(blocks); i++)
		CHECK((blocks[i] = malloc((i + 1) * 64)));
	exhaust(&pool);
	/* The callback's own record comes from the thread's cache. */
	for (size_t i = 0; i < COUNT(blocks); i++)
		free(blocks[i]);
	for (int i = 0; i < 1000; i++)
		CHECK(oomreclaim_register("none", 0, 0, check_give_nothing, NULL, &handle) == 0 &&
		      oomreclaim_unregister(handle) == 0);
	CHECK(space_release(8 * MIB) >= 8 * MIB);
	CHECK(oomreclaim_register("none", 0, 0, check_give_nothing, NULL, NULL) == 0);
	CHECK_EQ(count_arenas(), 1);
	CHECK_EQ(reserve_now(), MIB);
}

/* Small blocks until there are none, so that the heap has no records left either. */
static void records(void)
{
	while (malloc(4096))
		;
	/* All of it: a MiB, but for what the heap takes beside. */
	for (int i = 0; i < 240; i++)
		CHECK(alloc_from_reserve(4096));
}

static void in_child(void (*function)(size_t bytes), size_t bytes)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		function(bytes);
		_exit(0);
	}
	CHECK_EQ(check_child(child), 0);
}

static void records_under(size_t limit)
{
	const struct rlimit as = {limit, limit};

	setrlimit(RLIMIT_AS, &as);
	execl("/proc/self/exe", "reserve", "records", (char *)NULL);
	CHECK(!"exec");
}

/* The heap maps 2 MiB for records at a time: they are short under some of these limits. */
static void last_record(void)
{
	for (size_t limit = 190 * MIB; limit < 206 * MIB; limit += MIB / 4)
		in_child(records_under, limit);
}

/* A callback that comes after the first mapping was given away: its own lies in another GiB, for
   which the heap has no leaf in its tree of addresses, and there is room for an arena at most. */
static void far_away(size_t left)
{
	const size_t far_bytes = (size_t)3 << 30;

	space_limit(0);
	while (malloc(4096))
		;
	free(alloc_from_reserve(16 * KIB));
	CHECK_EQ(reserve_now(), 0);
	space_limit(SIZE_MAX);
	CHECK(mmap(NULL, far_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	space_limit(left);
	CHECK(oomreclaim_register("none", 0, 0, check_give_nothing, NULL, NULL) == 0);
	/* What is said to be there is there. */
	while (malloc(4096))
		;
	CHECK(reserve_now() == 0 || alloc_from_reserve(16 * KIB));
}

static void elsewhere(void)
{
	for (size_t left = MIB; left < 8 * MIB; left += MIB / 8)
		in_child(far_away, left);
}

/* Run with limit:64M. What was given to the heap is no way round the max of a group. */
static void given_in_group(void)
{
	oomreclaim_group group;
	size_t bytes = 0;

	pool_fill(&pool, MIB);
	pool_fill(&pool, 16 * KIB);
	CHECK(alloc_from_reserve(16 * KIB));
	CHECK_EQ(reserve_now(), 0);
	pool_clear(&pool);
	CHECK(oomreclaim_group_create("group", OOMRECLAIM_GROUP_ROOT, &group) == 0);
	CHECK_EQ(reserve_now(), MIB);
	CHECK(oomreclaim_group_set(group, OOMRECLAIM_GROUP_MAX, 8 * MIB) == 0);
	oomreclaim_group_enter(group);
	while (bytes < 32 * MIB && alloc_from_reserve(16 * KIB))
		bytes += 16 * KIB;
	CHECK(bytes > 6 * MIB && bytes < 9 * MIB);
}

static size_t charged_when_empty(void)
{
	struct oomreclaim_limit_stats stats = {0};

	pool_clear(&pool);
	malloc_trim(0);
	CHECK(oomreclaim_limit_stats(&stats, sizeof stats) == 0);
	return stats.charged;
}

/* Run with limit:32M. What the heap got of the reserve is charged as any free extent is. */
static void mapping_charged(void)
{
	size_t before;

	pool_fill(&pool, MIB);
	before = charged_when_empty();
	pool_fill(&pool, MIB);
	free(alloc_from_reserve(512 * KIB));
	CHECK_EQ(reserve_now(), 0);
	CHECK_EQ(before - charged_when_empty(), MIB + 4096);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"rounds", rounds},
		{"trimmed", trimmed},
		{"growth", growth},
		{"keeping", keeping},
		{"none", none},
		{"not-for-all", not_for_all},
		{"no-background", no_background},
		{"arena", arena},
		{"arena-for-policy", arena_for_policy},
		{"arena-for-group", arena_for_group},
		{"mapping", mapping},
		{"mapping-charged", mapping_charged},
		{"no-arena", no_arena},
		{"last-record", last_record},
		{"records", records},
		{"elsewhere", elsewhere},
		{"given-in-group", given_in_group},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
