/* SPDX-License-Identifier: BSD-2-Clause */
/* Groups over the real heap: where blocks come from, where they go back to, and what is charged. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "je.h"
#include "oomreclaim_group.h"

#define ROOT OOMRECLAIM_GROUP_ROOT
#define BLOCKS 2000

static oomreclaim_group make_in(oomreclaim_group parent, const char *name)
{
	oomreclaim_group group = 0;

	errno = ERRNO_UNTOUCHED;
	CHECK_EQ(oomreclaim_group_create(name, parent, &group), 0);
	CHECK(group != ROOT);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
	return group;
}

static oomreclaim_group make(const char *name)
{
	return make_in(ROOT, name);
}

static struct oomreclaim_group_stats stats_of(oomreclaim_group group)
{
	struct oomreclaim_group_stats stats;

	CHECK_EQ(oomreclaim_group_stats(group, &stats, sizeof stats), 0);
	return stats;
}

static void destroy(oomreclaim_group group)
{
	CHECK_EQ(oomreclaim_group_destroy(group, 0), 0);
}

static void *expect_of(oomreclaim_group group, void *block)
{
	CHECK(block != NULL);
	CHECK(oomreclaim_group_of(block) == group);
	return block;
}

/* As a scope: they nest. */
static void nests(void)
{
	oomreclaim_group a = make("a"), b = make("b");

	CHECK(oomreclaim_group_current() == ROOT);
	CHECK(oomreclaim_group_enter(a) == ROOT);
	CHECK(oomreclaim_group_enter(b) == a);
	CHECK_EQ(stats_of(a).threads, 0);
	CHECK_EQ(stats_of(b).threads, 1);
	CHECK(oomreclaim_group_enter(b) == b);
	CHECK_EQ(stats_of(b).threads, 1);
	CHECK(oomreclaim_group_enter(a) == b);
	CHECK(oomreclaim_group_current() == a);
	CHECK(oomreclaim_group_enter(ROOT) == a);
	CHECK_EQ(stats_of(a).threads, 0);
	destroy(a);
	/* One that is no more changes nothing. */
	CHECK(oomreclaim_group_enter(b) == ROOT);
	CHECK(oomreclaim_group_enter(a) == b);
	CHECK(oomreclaim_group_current() == b);
	CHECK(oomreclaim_group_enter(ROOT) == b);
	destroy(b);
}

/* Every way to a block, of every size. */
static void forms(void)
{
	static const size_t sizes[] = {1, 100, 4000, 20 * KIB, MIB, 20 * MIB};
	oomreclaim_group group = make("forms");

	for (size_t i = 0; i < COUNT(sizes); i++) {
		size_t size = sizes[i];
		void *block, *outside = malloc(size);

		oomreclaim_group_enter(group);
		free(expect_of(group, malloc(size)));
		free(expect_of(group, calloc(1, size)));
		free(expect_of(group, memalign(256, size)));
		free(expect_of(group, aligned_alloc(4096, size)));
		CHECK_EQ(posix_memalign(&block, 64, size), 0);
		free(expect_of(group, block));
		free(expect_of(group, valloc(size)));
		block = expect_of(group, mallocx(size, 0));
		block = expect_of(group, rallocx(block, 2 * size, 0));
		block = expect_of(group, rallocx(block, 3 * size, MALLOCX_LG_ALIGN(13)));
		sdallocx(block, 3 * size, MALLOCX_LG_ALIGN(13));
		free(expect_of(group, mallocx(size, MALLOCX_LG_ALIGN(7) | MALLOCX_ZERO)));
		free(expect_of(group, mallocx(size, MALLOCX_TCACHE_NONE)));
		block = expect_of(group, realloc(NULL, size));
		free(expect_of(group, reallocarray(block, 2, size)));
		free(expect_of(ROOT, outside));
		oomreclaim_group_enter(ROOT);
		free(expect_of(ROOT, malloc(size)));
	}
	destroy(group);
}

static void strings(void)
{
	oomreclaim_group group = make("strings");
	FILE *file = tmpfile();
	size_t size = 0;
	char *line = NULL;

	CHECK(file != NULL && fputs("a line\n", file) >= 0);
	rewind(file);
	oomreclaim_group_enter(group);
	free(expect_of(group, strdup("text")));
	CHECK(getline(&line, &size, file) > 0);
	free(expect_of(group, line));
	CHECK(asprintf(&line, "%d", 1) == 1);
	free(expect_of(group, line));
	oomreclaim_group_enter(ROOT);
	fclose(file);
	destroy(group);
}

static void *blocks[BLOCKS];

static void fill(oomreclaim_group group, size_t size)
{
	for (size_t i = 0; i < BLOCKS; i++) {
		blocks[i] = expect_of(group, malloc(size));
		memset(blocks[i], 1, size);
	}
}

static void clear(void)
{
	for (size_t i = 0; i < BLOCKS; i++)
		free(blocks[i]);
}

/* What another group has freed last is what a cache would hand out first. */
static void apart(void)
{
	oomreclaim_group a = make("a"), b = make("b");
	static const size_t sizes[] = {16, 64, 4096, 20 * KIB};

	for (size_t i = 0; i < COUNT(sizes); i++) {
		oomreclaim_group_enter(a);
		fill(a, sizes[i]);
		oomreclaim_group_enter(b);
		clear();
		fill(b, sizes[i]);
		oomreclaim_group_enter(ROOT);
		clear();
		fill(ROOT, sizes[i]);
		oomreclaim_group_enter(a);
		clear();
		fill(a, sizes[i]);
		for (size_t j = 0; j < BLOCKS; j++)
			sdallocx(blocks[j], sizes[i], 0);
		fill(a, sizes[i]);
		oomreclaim_group_enter(b);
		for (size_t j = 0; j < BLOCKS; j++)
			sdallocx(blocks[j], sizes[i], 0);
		fill(b, sizes[i]);
		clear();
		oomreclaim_group_enter(ROOT);
	}
	destroy(a);
	destroy(b);
}

/* The same of more groups than free() can tell from each other by itself. */
static void marks(void)
{
	static oomreclaim_group others[260];

	for (size_t i = 0; i < COUNT(others); i++) {
		others[i] = make("other");
		oomreclaim_group_enter(others[i]);
		free(expect_of(others[i], malloc(64)));
	}
	oomreclaim_group_enter(ROOT);
	apart();
	for (size_t i = 0; i < COUNT(others); i++)
		destroy(others[i]);
}

/* C++'s, by its mangled name. */
void delete_sized(void *memory, size_t size) __asm__("_ZdlPvm") __attribute__((weak));

/* By the size alone they would go into the cache of whatever thread frees them. */
static void sized(void)
{
	oomreclaim_group a = make("a"), b = make("b");

	oomreclaim_group_enter(a);
	fill(a, 64);
	oomreclaim_group_enter(b);
	for (size_t i = 0; i < BLOCKS; i++)
		delete_sized(blocks[i], 64);
	fill(b, 64);
	oomreclaim_group_enter(ROOT);
	for (size_t i = 0; i < BLOCKS; i++)
		delete_sized(blocks[i], 64);
	fill(ROOT, 64);
	for (size_t i = 0; i < BLOCKS; i++)
		delete_sized(blocks[i], 64);
	destroy(a);
	destroy(b);
}

/* In the group that it is of, whoever resizes it, and whatever comes of it. */
static void resized(void)
{
	oomreclaim_group a = make("a"), b = make("b");
	char *block;

	oomreclaim_group_enter(a);
	block = expect_of(a, malloc(10));
	memcpy(block, "123456789", 10);
	oomreclaim_group_enter(b);
	for (size_t size = 20; size <= 4 * MIB; size *= 3) {
		block = expect_of(a, realloc(block, size));
		CHECK(!strcmp(block, "123456789"));
	}
	block = expect_of(a, rallocx(block, 8 * MIB, MALLOCX_LG_ALIGN(20)));
	oomreclaim_group_enter(ROOT);
	block = expect_of(a, realloc(block, 100));
	CHECK(!strcmp(block, "123456789"));
	block = expect_of(a, rallocx(block, 100, MALLOCX_LG_ALIGN(12)));
	free(block);
	block = expect_of(ROOT, malloc(100));
	oomreclaim_group_enter(b);
	block = expect_of(ROOT, realloc(block, 10000));
	free(block);
	oomreclaim_group_enter(ROOT);
	destroy(a);
	destroy(b);
}

static size_t pages_of(unsigned arena)
{
	static const char *const names[] = {"pactive", "pdirty", "pmuzzy"};
	size_t pages = 0, value, length = sizeof value;
	uint64_t epoch = 1;
	char name[64];

	CHECK_EQ(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(name, sizeof name, "stats.arenas.%u.%s", arena, names[i]);
		CHECK_EQ(mallctl(name, &value, &length, NULL, 0), 0);
		pages += value;
	}
	JE_READ("arenas.page", &value);
	return pages * value;
}

static unsigned arena_of(void *block)
{
	size_t length = sizeof(unsigned);
	unsigned arena;

	CHECK_EQ(mallctl("arenas.lookup", &arena, &length, &block, sizeof block), 0);
	return arena;
}

/* By pages, to the byte what jemalloc itself counts; ancestors have it as well. */
static void charged(void)
{
	oomreclaim_group parent = make("parent"), child = make_in(parent, "child");
	struct oomreclaim_group_stats stats;
	unsigned arena;
	void *large;

	oomreclaim_group_enter(child);
	fill(child, 1000);
	large = expect_of(child, malloc(10 * MIB));
	arena = arena_of(large);
	for (size_t i = 0; i < BLOCKS; i += 2)
		blocks[i] = realloc(blocks[i], 100 + i);
	stats = stats_of(child);
	CHECK(stats.charged >= 10 * MIB + BLOCKS * 500);
	CHECK(stats.allocated >= 10 * MIB + BLOCKS * 500 && stats.allocated <= stats.charged);
	CHECK_EQ(stats.charged, pages_of(arena));
	CHECK_EQ(stats.own, stats.charged);
	CHECK_EQ(stats_of(parent).charged, stats.charged);
	CHECK_EQ(stats_of(parent).own, 0);
	CHECK_EQ(stats_of(parent).children, 1);
	oomreclaim_group_enter(parent);
	free(large);
	clear();
	CHECK_EQ(stats_of(child).charged, pages_of(arena));
	oomreclaim_group_enter(child);
	malloc_trim(0);
	CHECK_EQ(stats_of(child).charged, pages_of(arena));
	CHECK(stats_of(child).charged < MIB && stats_of(child).peak >= 10 * MIB);
	oomreclaim_group_enter(ROOT);
	CHECK_EQ(oomreclaim_group_destroy(parent, 0), EBUSY);
	destroy(child);
	destroy(parent);
}

/* What is left goes to the parent, or nowhere. */
static void left(void)
{
	oomreclaim_group parent = make("parent"), child = make_in(parent, "child"), other;
	size_t before;
	void *block, *in_root;

	oomreclaim_group_enter(child);
	CHECK_EQ(oomreclaim_group_destroy(child, 0), EBUSY);
	block = expect_of(child, malloc(4 * MIB));
	in_root = expect_of(child, malloc(64));
	fill(child, 64);
	oomreclaim_group_enter(ROOT);
	before = stats_of(parent).charged;
	destroy(child);
	CHECK_EQ(oomreclaim_group_destroy(child, 0), EINVAL);
	/* Its arena is nobody else's as long as it is in use. */
	other = make("other");
	oomreclaim_group_enter(other);
	free(expect_of(other, malloc(64)));
	oomreclaim_group_enter(ROOT);
	destroy(other);
	expect_of(parent, block);
	CHECK_EQ(stats_of(parent).charged, before);
	CHECK_EQ(stats_of(parent).own, before);
	oomreclaim_group_enter(parent);
	clear();
	block = expect_of(parent, realloc(block, 8 * MIB));
	free(block);
	expect_of(parent, in_root);
	oomreclaim_group_enter(ROOT);
	malloc_trim(0);
	CHECK(stats_of(parent).charged < 2 * MIB);
	destroy(parent);
	expect_of(ROOT, in_root);
	free(in_root);
}

static void freed(void)
{
	for (size_t i = 0; i < 100; i++) {
		oomreclaim_group group = make("job");

		oomreclaim_group_enter(group);
		fill(group, 2000);
		expect_of(group, malloc(MIB));
		for (size_t j = 0; j < BLOCKS; j += 2)
			free(blocks[j]);
		oomreclaim_group_enter(ROOT);
		CHECK(stats_of(group).charged > MIB);
		CHECK_EQ(oomreclaim_group_destroy(group, OOMRECLAIM_GROUP_FREE), 0);
		CHECK(oomreclaim_group_of(blocks[1]) == ROOT);
	}
	/* Nothing is left over, and one arena did for all. */
	CHECK(mallinfo2().uordblks < 4 * MIB);
}

/* An arena is used again, a handle is not. */
static void pooled(void)
{
	unsigned before, after;
	size_t length = sizeof before;
	oomreclaim_group last = 0;

	CHECK_EQ(mallctl("arenas.narenas", &before, &length, NULL, 0), 0);
	for (unsigned i = 0; i < 5000; i++) {
		oomreclaim_group group = make("short");

		CHECK(group != last);
		CHECK_EQ(stats_of(group).charged, 0);
		oomreclaim_group_enter(group);
		free(expect_of(group, malloc(1000)));
		oomreclaim_group_enter(ROOT);
		destroy(group);
		CHECK(oomreclaim_group_enter(group) == ROOT && oomreclaim_group_current() == ROOT);
		last = group;
	}
	CHECK_EQ(mallctl("arenas.narenas", &after, &length, NULL, 0), 0);
	/* One of them is the reserve's. */
	CHECK(after <= before + 3);
}

/* More than a thread has caches for. */
static void many(void)
{
	static oomreclaim_group groups[100];
	static void *of[COUNT(groups)];

	for (size_t i = 0; i < COUNT(groups); i++)
		groups[i] = make("many");
	for (unsigned round = 0; round < 20; round++)
		for (size_t i = 0; i < COUNT(groups); i++) {
			oomreclaim_group_enter(groups[i * 37 % COUNT(groups)]);
			free(of[i]);
			of[i] = expect_of(groups[i * 37 % COUNT(groups)], malloc(200));
			free(expect_of(groups[i * 37 % COUNT(groups)], malloc(200)));
		}
	oomreclaim_group_enter(ROOT);
	for (size_t i = 0; i < COUNT(groups); i++)
		destroy(groups[i]);
	for (size_t i = 0; i < COUNT(groups); i++)
		free(expect_of(ROOT, of[i]));
}

static void bad(void)
{
	struct oomreclaim_group_stats stats;
	oomreclaim_group group = 4711, deep = ROOT;
	char name[OOMRECLAIM_GROUP_NAME_MAX + 2];
	int64_t value = 4711;

	memset(name, 'x', sizeof name);
	name[sizeof name - 1] = '\0';
	CHECK_EQ(oomreclaim_group_create(name, ROOT, &group), ENAMETOOLONG);
	CHECK_EQ(oomreclaim_group_create("", ROOT, &group), EINVAL);
	CHECK_EQ(oomreclaim_group_create(NULL, ROOT, &group), EINVAL);
	CHECK_EQ(oomreclaim_group_create("x", ROOT, NULL), EINVAL);
	CHECK_EQ(oomreclaim_group_create("x", 4711, &group), EINVAL);
	CHECK_EQ(group, 4711);
	CHECK(oomreclaim_group_enter(4711) == ROOT && oomreclaim_group_current() == ROOT);
	CHECK(oomreclaim_group_of(NULL) == ROOT && oomreclaim_group_of(&group) == ROOT);
	CHECK_EQ(oomreclaim_group_stats(ROOT, &stats, sizeof stats), EINVAL);
	CHECK_EQ(oomreclaim_group_destroy(ROOT, 0), EINVAL);
	CHECK_EQ(oomreclaim_group_destroy(UINT64_MAX, 0), EINVAL);
	CHECK_EQ(oomreclaim_group_set(ROOT, OOMRECLAIM_GROUP_MAX, 1), EINVAL);
	group = make("x");
	CHECK_EQ(oomreclaim_group_stats(group, NULL, 0), EINVAL);
	CHECK_EQ(oomreclaim_group_destroy(group, 2), EINVAL);
	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_MAX, -1), ERANGE);
	CHECK_EQ(oomreclaim_group_set(group, (enum oomreclaim_group_attribute)4711, 1), EINVAL);
	CHECK_EQ(oomreclaim_group_get(group, (enum oomreclaim_group_attribute)4711, &value),
	         EINVAL);
	CHECK_EQ(oomreclaim_group_get(group, OOMRECLAIM_GROUP_MAX, NULL), EINVAL);
	CHECK_EQ(value, 4711);
	CHECK_EQ(oomreclaim_group_get(group, OOMRECLAIM_GROUP_MAX, &value), 0);
	CHECK(value == OOMRECLAIM_GROUP_NONE);
	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_MAX, 5), 0);
	CHECK_EQ(oomreclaim_group_get(group, OOMRECLAIM_GROUP_MAX, &value), 0);
	CHECK_EQ(value, 5);
	for (int i = 0; i < OOMRECLAIM_GROUP_DEPTH_MAX; i++)
		deep = make_in(deep, "deep");
	CHECK_EQ(oomreclaim_group_create("deeper", deep, &group), EMLINK);
}

/* As many as there may be, and not one more. */
static void full(void)
{
	static oomreclaim_group groups[OOMRECLAIM_GROUPS_MAX + 1];
	size_t count = 0, entered = 0;
	int error;

	while ((error = oomreclaim_group_create("full", ROOT, &groups[count])) == 0)
		CHECK(++count <= OOMRECLAIM_GROUPS_MAX);
	CHECK_EQ(error, EAGAIN);
	CHECK_EQ(count, OOMRECLAIM_GROUPS_MAX);
	destroy(groups[17]);
	groups[17] = make("again");
	for (size_t i = 0; i < count; i++) {
		oomreclaim_group_enter(groups[i]);
		if (oomreclaim_group_current() != groups[i])
			break;
		free(expect_of(groups[i], malloc(100)));
		entered++;
	}
	CHECK(entered > 3500 && entered < 4095);
	/* Nothing has changed, and one that goes makes room for another. */
	CHECK(oomreclaim_group_current() == groups[entered - 1]);
	free(expect_of(groups[entered - 1], malloc(100)));
	oomreclaim_group_enter(ROOT);
	destroy(groups[17]);
	oomreclaim_group_enter(groups[entered]);
	free(expect_of(groups[entered], malloc(100)));
}

/* What groups need is mapped with the first of them: most processes have none, and may have few
   addresses. */
static void table(void)
{
	static struct pool pool;
	oomreclaim_group group = 4711;

	exhaust(&pool);
	CHECK_EQ(oomreclaim_group_create("first", ROOT, &group), ENOMEM);
	CHECK_EQ(group, 4711);
	CHECK(oomreclaim_group_current() == ROOT);
	CHECK(oomreclaim_group_enter((1 << 16) + 1) == ROOT && oomreclaim_group_current() == ROOT);
	space_release(8 * MIB);
	pool_clear(&pool);
	group = make("second");
	oomreclaim_group_enter(group);
	free(expect_of(group, malloc(100)));
	oomreclaim_group_enter(ROOT);
	destroy(group);
}

/* A large block has its records at both ends alone. */
static void inside(void)
{
	static const size_t sizes[] = {1, 100, 8000, 14336, 16384, 65536, 5 << 20, (2U << 30) + 1};
	oomreclaim_group a = make("a"), b = make("b");

	for (size_t i = 0; i < COUNT(sizes); i++) {
		char *before, *block, *other;

		oomreclaim_group_enter(b);
		before = malloc(sizes[i]);
		/* The largest block has nothing else between it and this. */
		other = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(other != MAP_FAILED);
		oomreclaim_group_enter(a);
		block = expect_of(a, malloc(sizes[i]));
		oomreclaim_group_enter(ROOT);
		for (size_t at = 0; at < sizes[i]; at += 1 + sizes[i] / 64) {
			expect_of(a, block + at);
			expect_of(b, before + at);
		}
		expect_of(a, block + sizes[i] - 1);
		expect_of(ROOT, other);
		munmap(other, 4096);
		free(block);
		CHECK(oomreclaim_group_of(block + sizes[i] / 2) != b);
		free(before);
	}
	/* What is free is in none, nor is what is not of the heap. */
	malloc_trim(0);
	CHECK(oomreclaim_group_of(&a) == ROOT && oomreclaim_group_of(sizes) == ROOT);
	CHECK(oomreclaim_group_of((void *)1) == ROOT && oomreclaim_group_of((void *)-1) == ROOT);
	destroy(a);
	destroy(b);
}

/* ---- Threads ---- */

static oomreclaim_group shared;

static void *end_inside(void *arg)
{
	oomreclaim_group_enter(shared);
	for (size_t i = 0; i < 1000; i++)
		free(expect_of(shared, malloc(i)));
	return expect_of(shared, malloc(*(size_t *)arg));
}

static void ends_inside(void)
{
	size_t size = 100;
	pthread_t thread;
	void *block;

	shared = make("shared");
	for (unsigned i = 0; i < 20; i++) {
		CHECK_EQ(pthread_create(&thread, NULL, end_inside, &size), 0);
		CHECK_EQ(pthread_join(thread, &block), 0);
		free(expect_of(shared, block));
		CHECK_EQ(stats_of(shared).threads, 0);
	}
	CHECK_EQ(stats_of(shared).allocated, 0);
	destroy(shared);
}

#define WORKERS 6
#define SLOTS 512

static oomreclaim_group tenants[4];
static void *_Atomic slots[SLOTS];

/* Takes what another has put there, resizes or frees it, and puts one of its own. */
static void *exchange_blocks(void *arg)
{
	unsigned seed = (unsigned)(size_t)arg;

	for (unsigned i = 0; i < 100000; i++) {
		unsigned at = (unsigned)rand_r(&seed) % SLOTS;
		unsigned tenant = (unsigned)rand_r(&seed) % (COUNT(tenants) + 1);
		size_t size = (size_t)rand_r(&seed) % (i % 100 == 0 ? 100000 : 1000) + 1;
		oomreclaim_group group = tenant < COUNT(tenants) ? tenants[tenant] : ROOT, of;
		void *mine, *other;

		if (i % 8 == 0)
			oomreclaim_group_enter(group);
		mine = expect_of(oomreclaim_group_current(), malloc(size));
		memset(mine, 1, size);
		other = atomic_exchange_explicit(&slots[at], mine, memory_order_acq_rel);
		if (other != NULL && i % 3 == 0) {
			of = oomreclaim_group_of(other);
			other = expect_of(of, realloc(other, size));
		}
		free(other);
	}
	return NULL;
}

static void crowd(void)
{
	pthread_t threads[WORKERS];

	for (size_t i = 0; i < COUNT(tenants); i++)
		tenants[i] = make("tenant");
	for (size_t i = 0; i < WORKERS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, exchange_blocks, (void *)(i + 1)), 0);
	for (size_t i = 0; i < WORKERS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	for (size_t i = 0; i < SLOTS; i++)
		free(slots[i]);
	malloc_trim(0);
	for (size_t i = 0; i < COUNT(tenants); i++) {
		CHECK_EQ(stats_of(tenants[i]).allocated, 0);
		CHECK_EQ(stats_of(tenants[i]).charged, 0);
		destroy(tenants[i]);
	}
}

/* The child is in the group that its parent's thread was in, and alone there. */
static void forks(void)
{
	oomreclaim_group group = make("forked");
	pid_t pid;

	oomreclaim_group_enter(group);
	fill(group, 100);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(oomreclaim_group_current() == group);
		CHECK_EQ(stats_of(group).threads, 1);
		clear();
		fill(group, 100);
		CHECK(oomreclaim_group_enter(ROOT) == group);
		clear();
		destroy(group);
		free(expect_of(ROOT, malloc(100)));
		_exit(0);
	}
	CHECK_EQ(check_child(pid), 0);
	clear();
	oomreclaim_group_enter(ROOT);
	destroy(group);
}

/* What jemalloc's controls do to the thread meanwhile. */
static void controls(void)
{
	oomreclaim_group group = make("controls");
	bool off = false, on = true;
	unsigned home, arena = 0;
	size_t length = sizeof home;

	CHECK_EQ(mallctl("thread.arena", &home, &length, NULL, 0), 0);
	oomreclaim_group_enter(group);
	fill(group, 100);
	CHECK_EQ(mallctl("thread.tcache.enabled", NULL, NULL, &off, sizeof off), 0);
	clear();
	fill(group, 100);
	oomreclaim_group_enter(ROOT);
	clear();
	fill(ROOT, 100);
	oomreclaim_group_enter(group);
	CHECK_EQ(mallctl("thread.tcache.enabled", NULL, NULL, &on, sizeof on), 0);
	clear();
	fill(group, 100);
	CHECK_EQ(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0), 0);
	/* Holds outside of the group. */
	CHECK_EQ(mallctl("thread.arena", NULL, NULL, &arena, sizeof arena), 0);
	clear();
	fill(group, 100);
	oomreclaim_group_enter(ROOT);
	clear();
	fill(ROOT, 100);
	arena = 4711;
	CHECK_EQ(mallctl("thread.arena", &arena, &length, NULL, 0), 0);
	CHECK_EQ(arena, 0);
	clear();
	destroy(group);
}

/* What a thread reads as its arena inside of a group it may set elsewhere, where that is no
   arena for it; nor when the group is gone, and another has it. */
static void arena_kept(void)
{
	oomreclaim_group a = make("a"), b = make("b");
	unsigned of_a;
	size_t length = sizeof of_a;

	oomreclaim_group_enter(a);
	fill(a, 1);
	CHECK_EQ(mallctl("thread.arena", &of_a, &length, NULL, 0), 0);
	clear();
	oomreclaim_group_enter(b);
	CHECK_EQ(mallctl("thread.arena", NULL, NULL, &of_a, sizeof of_a), 0);
	fill(b, BLOCKS);
	clear();
	oomreclaim_group_enter(ROOT);
	fill(ROOT, BLOCKS);
	clear();
	CHECK_EQ(mallctl("thread.arena", NULL, NULL, &of_a, sizeof of_a), 0);
	fill(ROOT, BLOCKS);
	clear();
	destroy(a);
	CHECK_EQ(mallctl("thread.arena", NULL, NULL, &of_a, sizeof of_a), 0);
	a = make("again");
	oomreclaim_group_enter(a);
	fill(a, 1);
	clear();
	oomreclaim_group_enter(ROOT);
	fill(ROOT, BLOCKS);
	clear();
	destroy(a);
	destroy(b);
}

static uint64_t counter(const char *name)
{
	size_t length = sizeof(uint64_t);
	uint64_t value;

	CHECK_EQ(mallctl(name, &value, &length, NULL, 0), 0);
	return value;
}

/* What a thread frees is counted, and its caches are looked through, as without groups. */
static void counted(void)
{
	oomreclaim_group group = make("counted");
	uint64_t allocated, freed;

	oomreclaim_group_enter(group);
	allocated = counter("thread.allocated");
	freed = counter("thread.deallocated");
	for (size_t i = 0; i < 10000; i++) {
		void *first = malloc(i % 5000), *second = malloc(i % 3000 + 1);

		free(first);
		sdallocx(second, i % 3000 + 1, 0);
	}
	allocated = counter("thread.allocated") - allocated;
	freed = counter("thread.deallocated") - freed;
	CHECK(allocated >= 10000 * 3500UL && allocated == freed);
	fill(group, 100);
	clear();
	/* Of 2000 blocks in a bin that has room for 200 the others are back in the arena. */
	CHECK(stats_of(group).allocated < MIB);
	oomreclaim_group_enter(ROOT);
	destroy(group);
}

/* What is read of large blocks while others are made and freed is never more than there can be. */
static oomreclaim_group busy;
static atomic_bool is_enough;

static void *make_and_free(void *arg)
{
	oomreclaim_group_enter(busy);
	for (size_t i = 0; !atomic_load(&is_enough); i++)
		dallocx(mallocx((16 + 16 * (i % 64)) * KIB, MALLOCX_TCACHE_NONE),
		        MALLOCX_TCACHE_NONE);
	oomreclaim_group_enter(ROOT);
	return arg;
}

static volatile unsigned pauses;

/* Between any two instructions of what reads: the others go on. */
static void let_others_run(int signal)
{
	const struct itimerval soon = {.it_value = {.tv_usec = 100}};

	(void)signal;
	usleep(50);
	if (++pauses < 3000)
		setitimer(ITIMER_REAL, &soon, NULL);
}

static void busy_allocated(void)
{
	pthread_t threads[WORKERS];
	sigset_t alarms;

	busy = make("busy");
	signal(SIGALRM, let_others_run);
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarms, NULL);
	for (size_t i = 0; i < WORKERS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, make_and_free, NULL), 0);
	pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
	raise(SIGALRM);
	while (pauses < 3000)
		CHECK(stats_of(busy).allocated <= WORKERS * MIB);
	atomic_store(&is_enough, true);
	for (size_t i = 0; i < WORKERS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	destroy(busy);
}

/* The system has no such addresses. */
static void peak(void)
{
	oomreclaim_group group = make("peak");
	struct oomreclaim_limit_stats limit;

	oomreclaim_group_enter(group);
	free(malloc(MIB));
	CHECK(!malloc((size_t)1 << 44));
	oomreclaim_group_enter(ROOT);
	CHECK(stats_of(group).peak >= MIB && stats_of(group).peak < 128 * MIB);
	CHECK_EQ(oomreclaim_limit_stats(&limit, sizeof limit), 0);
	CHECK(limit.peak >= stats_of(group).peak && limit.peak < 128 * MIB);
	destroy(group);
}

static size_t give_nothing(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	++*(unsigned *)arg;
	return 0;
}

/* What the library has of its own is not in the group, and outlives it. */
static void own_records(void)
{
	oomreclaim_group group = make("records");
	struct oomreclaim_purgeable *purgeable;
	oomreclaim_handle handle;
	unsigned calls = 0;

	oomreclaim_group_enter(group);
	fill(group, 500);
	CHECK_EQ(oomreclaim_register("outlives", 0, 0, give_nothing, &calls, &handle), 0);
	purgeable = oomreclaim_purgeable_alloc(100, OOMRECLAIM_COST_DEFAULT);
	expect_of(ROOT, purgeable);
	expect_of(group, malloc(100));
	oomreclaim_group_enter(ROOT);
	CHECK_EQ(oomreclaim_group_destroy(group, OOMRECLAIM_GROUP_FREE), 0);
	group = make("next");
	oomreclaim_group_enter(group);
	fill(group, 200);
	fill(group, 500);
	oomreclaim_group_enter(ROOT);
	oomreclaim_reclaim(SIZE_MAX);
	CHECK_EQ(calls, 1);
	CHECK_EQ(oomreclaim_unregister(handle), 0);
	oomreclaim_purgeable_free(purgeable);
	CHECK_EQ(oomreclaim_group_destroy(group, OOMRECLAIM_GROUP_FREE), 0);
}

/* A cache that the program has made for itself holds nothing of a group: not all that it was filled
   with is taken. */
static void own_cache(void)
{
	oomreclaim_group group = make("own-cache");
	size_t length = sizeof(unsigned);
	unsigned cache;

	CHECK_EQ(mallctl("tcache.create", &cache, &length, NULL, 0), 0);
	oomreclaim_group_enter(group);
	for (unsigned i = 0; i < 130; i++)
		blocks[i] = expect_of(group, mallocx(100, MALLOCX_TCACHE(cache)));
	for (unsigned i = 0; i < 130; i++)
		dallocx(blocks[i], MALLOCX_TCACHE(cache));
	oomreclaim_group_enter(ROOT);
	for (unsigned i = 0; i < 130; i++)
		blocks[i] = expect_of(ROOT, mallocx(100, MALLOCX_TCACHE(cache)));
	for (unsigned i = 0; i < 130; i++)
		dallocx(blocks[i], MALLOCX_TCACHE(cache));
	destroy(group);
}

/* A limit is the group's alone. */
static void limited(void)
{
	oomreclaim_group parent = make("parent"), child = make_in(parent, "child");
	size_t count = 0;

	CHECK_EQ(oomreclaim_group_set(parent, OOMRECLAIM_GROUP_MAX, 8 * MIB), 0);
	oomreclaim_group_enter(child);
	errno = ERRNO_UNTOUCHED;
	while (count < BLOCKS && (blocks[count] = malloc(64 * KIB)) != NULL)
		count++;
	CHECK_EQ(errno, ENOMEM);
	CHECK(count >= 80 && count <= 128);
	CHECK(stats_of(parent).charged <= 8 * MIB);
	CHECK(stats_of(parent).max_met > 0 && stats_of(child).max_met == 0);
	oomreclaim_group_enter(ROOT);
	free(expect_of(ROOT, malloc(64 * MIB)));
	while (count > 0)
		free(blocks[--count]);
	oomreclaim_group_enter(child);
	free(expect_of(child, malloc(4 * MIB)));
	oomreclaim_group_enter(ROOT);
	destroy(child);
	destroy(parent);
}

/* ---- The ladder, one level down ---- */

static size_t asked, asked_other;
static struct pool cached;

/* A cache of the group's. */
static size_t give(const struct oomreclaim_control *control, void *arg)
{
	CHECK(!strcmp(control->constraint, "GROUP") || control->reason == OOMRECLAIM_REASON_MANUAL);
	CHECK(!strcmp(control->group, arg));
	CHECK(control->is_direct);
	asked++;
	return pool_evict(&cached, control->bytes_wanted);
}

static size_t give_other(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	asked_other++;
	return 0;
}

/* For a group's limit its own callbacks are asked and those of its descendants; for the process's
   all. */
static void reclaims(void)
{
	oomreclaim_group group = make("job"), child = make_in(group, "child"),
			 other = make("other");
	struct oomreclaim_group_stats stats;
	oomreclaim_handle handle;

	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_MAX, 16 * MIB), 0);
	oomreclaim_register("root", 9, 0, give_other, NULL, NULL);
	oomreclaim_group_enter(other);
	oomreclaim_register("other", 8, 0, give_other, NULL, NULL);
	oomreclaim_group_enter(child);
	CHECK_EQ(oomreclaim_register("child", 0, 0, give, "job", &handle), 0);
	while (stats_of(group).charged < 12 * MIB)
		pool_add(&cached, 64 * KIB);
	oomreclaim_group_enter(group);
	for (size_t i = 0; i < 1000; i++) {
		errno = ERRNO_UNTOUCHED;
		blocks[i] = expect_of(group, malloc(10 * KIB));
		CHECK_EQ(errno, ERRNO_UNTOUCHED);
	}
	stats = stats_of(group);
	CHECK(asked > 0 && stats.reclaimed >= MIB && stats.charged <= 16 * MIB);
	CHECK_EQ(asked_other, 0);
	oomreclaim_group_enter(ROOT);
	/* What is destroyed leaves its callbacks to the parent as well. */
	destroy(child);
	/* Until what it was known by inside is another's. */
	for (size_t i = 0; i < OOMRECLAIM_GROUPS_MAX; i++)
		destroy(make_in(other, "another"));
	asked = 0;
	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_MAX, 11 * MIB), 0);
	CHECK(asked > 0 && asked_other == 0 && stats_of(group).charged <= 11 * MIB);
	CHECK_EQ(oomreclaim_unregister(handle), 0);
	oomreclaim_reclaim(MIB);
	CHECK_EQ(asked_other, 2);
	for (size_t i = 0; i < 1000; i++)
		free(blocks[i]);
	pool_clear(&cached);
	destroy(group);
	destroy(other);
}

static enum oomreclaim_policy decide(const struct oomreclaim_verdict *verdict, void *arg)
{
	CHECK(!strcmp(verdict->constraint, "GROUP") && !strcmp(verdict->group, "job"));
	CHECK_EQ(verdict->policy, OOMRECLAIM_POLICY_ABORT);
	++*(unsigned *)arg;
	return OOMRECLAIM_POLICY_RETURN;
}

/* A request that can never be is not tried; one too many is the policy's. */
static void refuses(void)
{
	oomreclaim_group group = make("job");
	struct oomreclaim_stats before, after;
	unsigned decided = 0;
	size_t count = 0;

	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_MAX, 4 * MIB), 0);
	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_POLICY, OOMRECLAIM_POLICY_RETRY),
	         ERANGE);
	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_POLICY, OOMRECLAIM_POLICY_ABORT), 0);
	CHECK_EQ(oomreclaim_set_policy_callback(decide, &decided), 0);
	oomreclaim_group_enter(group);
	oomreclaim_stats_get(&before, sizeof before);
	CHECK(malloc(5 * MIB) == NULL && errno == ENOMEM);
	oomreclaim_stats_get(&after, sizeof after);
	CHECK_EQ(after.impossible - before.impossible, 1);
	CHECK(!strcmp(after.last_constraint, "GROUP"));
	CHECK_EQ(decided, 0);
	while ((blocks[count] = malloc(16 * KIB)) != NULL)
		count++;
	CHECK_EQ(decided, 1);
	oomreclaim_group_enter(ROOT);
	/* Nobody else's is refused for it. */
	free(expect_of(ROOT, malloc(16 * MIB)));
	CHECK_EQ(decided, 1);
	while (count > 0)
		free(blocks[--count]);
	destroy(group);
}

static void aborts(void)
{
	oomreclaim_group group = make("the job");

	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_MAX, 4 * MIB), 0);
	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_POLICY, OOMRECLAIM_POLICY_ABORT), 0);
	oomreclaim_group_enter(group);
	while (malloc(16 * KIB) != NULL)
		;
}

/* Threads of several groups at their limits: each is served by its own callbacks, at once or behind
   another. */
static size_t give_tenant(const struct oomreclaim_control *control, void *arg)
{
	struct pool *pool = arg;

	return pool_evict(pool, control->bytes_wanted);
}

static void *live_at_limit(void *arg)
{
	struct pool pool = {.count = 0};
	oomreclaim_handle handle;
	char *kept;

	oomreclaim_group_enter(*(oomreclaim_group *)arg);
	CHECK_EQ(oomreclaim_register("tenant", 0, 0, give_tenant, &pool, &handle), 0);
	for (unsigned i = 0; i < 3000; i++) {
		CHECK(pool_add(&pool, 4 * KIB + i % 7 * 1000));
		if (i % 10 == 0) {
			kept = expect_of(oomreclaim_group_current(), malloc(100 * KIB));
			memset(kept, 1, 100 * KIB);
			free(kept);
		}
	}
	CHECK_EQ(oomreclaim_unregister(handle), 0);
	pool_clear(&pool);
	return NULL;
}

static void tenancy(void)
{
	pthread_t threads[COUNT(tenants)];

	for (size_t i = 0; i < COUNT(tenants); i++) {
		tenants[i] = make("tenant");
		CHECK_EQ(oomreclaim_group_set(tenants[i], OOMRECLAIM_GROUP_MAX, 4 * MIB), 0);
	}
	for (size_t i = 0; i < COUNT(tenants); i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, live_at_limit, &tenants[i]), 0);
	for (size_t i = 0; i < COUNT(tenants); i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	for (size_t i = 0; i < COUNT(tenants); i++) {
		CHECK(stats_of(tenants[i]).max_met > 0 && stats_of(tenants[i]).peak <= 4 * MIB);
		destroy(tenants[i]);
	}
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"nests", nests},
		{"forms", forms},
		{"strings", strings},
		{"apart", apart},
		{"marks", marks},
		{"sized", sized},
		{"resized", resized},
		{"charged", charged},
		{"left", left},
		{"freed", freed},
		{"pooled", pooled},
		{"many", many},
		{"bad", bad},
		{"full", full},
		{"inside", inside},
		{"table", table},
		{"peak", peak},
		{"busy-allocated", busy_allocated},
		{"ends-inside", ends_inside},
		{"crowd", crowd},
		{"forks", forks},
		{"controls", controls},
		{"own-cache", own_cache},
		{"arena-kept", arena_kept},
		{"counted", counted},
		{"own-records", own_records},
		{"limited", limited},
		{"reclaims", reclaims},
		{"refuses", refuses},
		{"aborts", aborts},
		{"tenancy", tenancy},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
