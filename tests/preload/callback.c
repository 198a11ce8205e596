/* SPDX-License-Identifier: BSD-2-Clause */
/* What reclaim callbacks are promised, and may do: one thread. All under a limit. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim.h"

static struct pool pool;
/* Callbacks that give give nothing until then, or memory would never run out. */
static bool is_live;

/* An allocation that must succeed, by whatever rung, and leave no trace in errno. */
static void add(size_t bytes)
{
	errno = ERRNO_UNTOUCHED;
	CHECK(pool_add(&pool, bytes));
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
}

static void fail(size_t bytes)
{
	errno = 0;
	CHECK(!malloc(bytes));
	CHECK_EQ(errno, ENOMEM);
}

static void enlist(const char *name, int priority, oomreclaim_callback *function, void *arg,
                   oomreclaim_handle *handle)
{
	errno = ERRNO_UNTOUCHED;
	CHECK(oomreclaim_register(name, priority, 0, function, arg, handle) == 0);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
}

static struct oomreclaim_callback_stats stats_of(oomreclaim_handle handle)
{
	struct oomreclaim_callback_stats stats;

	CHECK(oomreclaim_callback_stats(handle, &stats, sizeof stats) == 0);
	return stats;
}

static size_t evict(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	CHECK(control->struct_size >= sizeof *control);
	CHECK(control->bytes_wanted > 0);
	CHECK(control->reason == OOMRECLAIM_REASON_ALLOC);
	errno = EBADF; /* it is restored */
	return pool_evict(&pool, control->bytes_wanted);
}

static void cache_of(size_t bytes)
{
	size_t most = pool_fill(&pool, bytes);
	struct oomreclaim_callback_stats stats;
	oomreclaim_handle handle;

	CHECK(most > 0);
	pool_clear(&pool);
	enlist("cache", 0, evict, NULL, &handle);
	for (size_t i = 0; i < 3 * most; i++)
		add(bytes);
	CHECK(pool.count > most / 2);
	stats = stats_of(handle);
	CHECK(stats.calls > 0 && stats.bytes_claimed >= most * bytes);
	CHECK(stats.bytes_measured >= stats.bytes_claimed);
	CHECK(stats.longest_ns > 0);
	CHECK(oomreclaim_unregister(handle) == 0);
}

static void cache(void)
{
	cache_of(64 * KIB);
	pool_clear(&pool);
	cache_of(3 * MIB);
	pool_clear(&pool);
	cache_of(1000);
}

/* Every form of request; what is asked for is as large as the cache. */
static void forms(void)
{
	const size_t bytes = 20 * MIB;
	void *block, *aligned;

	size_t most = pool_fill(&pool, MIB);

	pool_evict(&pool, MIB); /* the record of the registration */
	enlist("cache", 0, evict, NULL, NULL);
	for (int round = 0; round < 10; round++) {
		errno = ERRNO_UNTOUCHED;
		CHECK((block = calloc(bytes, 1)) && ((char *)block)[bytes - 1] == 0);
		while (pool.count < most / 2)
			add(MIB);
		memset(block, 0x5a, bytes);
		CHECK((block = realloc(block, 2 * bytes)) && ((char *)block)[bytes - 1] == 0x5a);
		CHECK(posix_memalign(&aligned, MIB, bytes) == 0 && (uintptr_t)aligned % MIB == 0);
		CHECK_EQ(errno, ERRNO_UNTOUCHED);
		free(block);
		free(aligned);
	}
}

static char order[64];

static size_t note_nothing(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	if (is_live)
		strcat(order, arg);
	return 0;
}

static size_t note_and_release(const struct oomreclaim_control *control, void *arg)
{
	if (!is_live)
		return 0;
	strcat(order, arg);
	return space_release(control->bytes_wanted);
}

/* Highest first, equal ones as they were registered, and no further than needed. */
static void priority(void)
{
	exhaust(&pool);
	space_release(4 * MIB); /* the records of five registrations */
	enlist("c", 0, note_nothing, "c", NULL);
	enlist("e", -5, note_nothing, "e", NULL);
	enlist("a", INT32_MAX, note_nothing, "a", NULL);
	enlist("d", 0, note_nothing, "d", NULL);
	enlist("b", 10, note_nothing, "b", NULL);
	exhaust(&pool);
	is_live = true;
	fail(4096);
	is_live = false;
	CHECK(!strcmp(order, "abcde"));

	space_release(4 * MIB);
	enlist("B", 10, note_and_release, "B", NULL);
	exhaust(&pool);
	*order = '\0';
	is_live = true;
	add(MIB);
	CHECK(!strncmp(order, "abB", 3));
	CHECK(!strchr(order, 'c') && !strchr(order, 'd') && !strchr(order, 'e'));
}

static size_t seen_wanted[4], seen;

static size_t give_half(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	if (!is_live)
		return 0;
	CHECK(control->size == 4 * MIB && control->alignment == 0);
	if (control->attempt == 0 && seen < COUNT(seen_wanted))
		seen_wanted[seen++] = control->bytes_wanted;
	return space_release(2 * MIB);
}

/* The second is asked for what the first has left. */
static void covered(void)
{
	space_fill();
	space_release(4 * MIB);
	enlist("first", 2, give_half, NULL, NULL);
	enlist("second", 1, give_half, NULL, NULL);
	enlist("third", 0, give_half, NULL, NULL);
	exhaust(&pool);
	is_live = true;
	add(4 * MIB);
	CHECK(seen >= 1 && seen_wanted[0] == 4 * MIB);
	CHECK(seen < 2 || seen_wanted[1] <= 2 * MIB);
	CHECK(seen <= 2);
}

static int calls;

static size_t lie(const struct oomreclaim_control *control, void *arg)
{
	CHECK(!is_live || control->attempt == (unsigned)calls);
	calls++;
	return arg ? SIZE_MAX - 1 : control->bytes_wanted;
}

/* It says what it likes, but not for ever. */
static void liar(void)
{
	oomreclaim_handle handle;

	enlist("liar", 0, lie, NULL, &handle);
	exhaust(&pool);
	calls = 0;
	is_live = true;
	fail(4096);
	is_live = false;
	CHECK_EQ(calls, 16);
	CHECK(oomreclaim_unregister(handle) == 0);
	enlist("braggart", 0, lie, &calls, NULL);
	exhaust(&pool);
	calls = 0;
	fail(4096);
	CHECK_EQ(calls, 16);
}

static size_t take_and_give(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	calls++;
	free(malloc(4096));
	return control->bytes_wanted;
}

/* Frees in every call, but only what it took in the same call. */
static void treadmill(void)
{
	enlist("treadmill", 0, take_and_give, NULL, NULL);
	exhaust(&pool);
	calls = 0;
	fail(4096);
	CHECK_EQ(calls, 16);
}

static size_t give_nothing(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	calls++;
	return 0;
}

static void nothing(void)
{
	enlist("nothing", 0, give_nothing, NULL, NULL);
	exhaust(&pool);
	for (int i = 0; i < 100; i++) {
		calls = 0;
		fail(4096);
		CHECK_EQ(calls, 1);
	}
}

static size_t nest(const struct oomreclaim_control *control, void *arg)
{
	static bool is_inside;

	(void)control, (void)arg;
	CHECK(!is_inside);
	is_inside = true;
	calls++;
	/* More than the reserve has: no second ladder, just NULL. */
	fail(64 * MIB);
	CHECK(oomreclaim_reclaim(MIB) == 0);
	is_inside = false;
	return 0;
}

static void nested(void)
{
	enlist("nest", 0, nest, NULL, NULL);
	exhaust(&pool);
	calls = 0;
	fail(4096);
	CHECK_EQ(calls, 1);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static size_t try_lock(const struct oomreclaim_control *control, void *arg)
{
	size_t freed;

	(void)arg;
	calls++;
	if (!is_live || pthread_mutex_trylock(&lock))
		return 0;
	usleep(1000);
	freed = space_release(control->bytes_wanted);
	pthread_mutex_unlock(&lock);
	return freed;
}

/* The failing thread holds the lock itself. */
static void trylock(void)
{
	enlist("trylock", 0, try_lock, NULL, NULL);
	exhaust(&pool);
	calls = 0;
	is_live = true;
	pthread_mutex_lock(&lock);
	fail(4096);
	pthread_mutex_unlock(&lock);
	CHECK_EQ(calls, 1);
	add(4096);
	CHECK(calls >= 2);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"cache", cache},         {"forms", forms},   {"priority", priority},
		{"covered", covered},     {"liar", liar},     {"nothing", nothing},
		{"treadmill", treadmill}, {"nested", nested}, {"trylock", trylock},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
