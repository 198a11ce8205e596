/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim_headroom(), and callbacks that are told when there is room again. */
#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim.h"

/* The heap takes more than it is asked for: its records, the tail of an extent, a thread's
   cache. */
#define SLACK (8 * MIB)

/* Long enough for any machine; the launcher ends what hangs. */
#define STEPS_MAX 100000
#define STEP_US 1000

static size_t headroom(const char *expected)
{
	const char *constraint = NULL;
	size_t bytes;

	errno = ERRNO_UNTOUCHED;
	bytes = oomreclaim_headroom(&constraint);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
	CHECK(constraint != NULL);
	if (strcmp(constraint, expected) != 0)
		fprintf(stderr, "%s, not %s\n", constraint, expected);
	CHECK(strcmp(constraint, expected) == 0);
	CHECK_EQ(oomreclaim_headroom(NULL) <= bytes + SLACK, 1);
	return bytes;
}

static void use(void *memory, size_t bytes)
{
	CHECK(memory != NULL);
	memset(memory, 1, bytes);
}

static void unlimited(void)
{
	const char *constraint = NULL;
	size_t bytes = oomreclaim_headroom(&constraint);

	/* The machine that this runs on may have limits of its own. */
	CHECK_EQ(bytes == SIZE_MAX, strcmp(constraint, "NONE") == 0);
	CHECK_EQ(bytes == SIZE_MAX || strcmp(constraint, "CGROUP") == 0, 1);
}

/* What it says can be allocated, and not much more. */
static void can_be_had(const char *constraint)
{
	size_t before = headroom(constraint), count;
	struct pool pool = {0};

	CHECK(before > 4 * SLACK);
	count = pool_fill(&pool, MIB);
	/* Near its end the heap does not find addresses for the pieces by which it grows. */
	CHECK(count * MIB + 2 * SLACK > before);
	CHECK(count * MIB < before + SLACK);
	CHECK(headroom(constraint) < 2 * SLACK);
	/* What is free in the heap can be allocated again, given back or not. */
	pool_clear(&pool);
	CHECK(headroom(constraint) + SLACK > before);
	CHECK(headroom(constraint) < before + SLACK);
}

/* Run with limit:64M. */
static void budget(void)
{
	void *block;
	size_t before = headroom("BUDGET"), after;

	CHECK(before < 64 * MIB);
	block = malloc(16 * MIB);
	use(block, 16 * MIB);
	after = headroom("BUDGET");
	CHECK(before - after >= 16 * MIB && before - after < 16 * MIB + SLACK);
	free(block);
	can_be_had("BUDGET");
	/* At once, without oomreclaimd. */
	CHECK_EQ(oomreclaim_set_limit(128 * MIB), 0);
	CHECK(headroom("BUDGET") > 100 * MIB);
	CHECK_EQ(oomreclaim_set_limit(SIZE_MAX), 0);
	unlimited();
}

/* Run with limit:64M,high:32M. */
static void high(void)
{
	void *block;

	CHECK(headroom("HIGH") < 32 * MIB);
	block = malloc(40 * MIB);
	use(block, 40 * MIB);
	CHECK_EQ(headroom("HIGH"), 0);
	free(block);
	CHECK(headroom("HIGH") > 8 * MIB);
}

/* What others in the process map is seen by and by. */
static void others(const char *constraint)
{
	size_t before = headroom(constraint);
	void *space =
		mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(space != MAP_FAILED);
	for (int i = 0; i < STEPS_MAX && before - headroom(constraint) < 32 * MIB - MIB; i++)
		usleep(STEP_US);
	CHECK(before - headroom(constraint) < 32 * MIB + SLACK);
	munmap(space, 32 * MIB);
	for (int i = 0; i < STEPS_MAX && headroom(constraint) + SLACK < before; i++)
		usleep(STEP_US);
}

/* What the heap gives back is not its own any more. */
static void map_and_unmap(void)
{
	for (int i = 0; i < 20; i++) {
		void *block = malloc(32 * MIB);

		use(block, 32 * MIB);
		free(block);
		oomreclaim_reclaim(SIZE_MAX);
	}
}

/* Run with RLIMIT_AS, and RLIMIT_DATA. In this order: by then oomreclaimd has its stack and its
   part of the heap. */
static void address_space(void)
{
	map_and_unmap();
	others("RLIMIT_AS");
	can_be_had("RLIMIT_AS");
}

static void data(void)
{
	others("RLIMIT_DATA");
	can_be_had("RLIMIT_DATA");
}

/* Where not even a small block is to be had there is next to no room. What the kernel knows is read
   by and by. */
static void is_full(const char *constraint)
{
	struct pool pool = {0};

	CHECK(headroom(constraint) > 4 * SLACK);
	CHECK(pool_fill(&pool, 4 * KIB) * 4 * KIB > 4 * SLACK);
	for (int i = 0; i < STEPS_MAX / 100 && headroom(constraint) > MIB; i++)
		usleep(STEP_US);
	CHECK(headroom(constraint) <= MIB);
	pool_clear(&pool);
	CHECK(headroom(constraint) > 4 * SLACK);
}

static void address_space_full(void)
{
	is_full("RLIMIT_AS");
}

static void data_full(void)
{
	is_full("RLIMIT_DATA");
}

/* Run in a group of 64 MiB, without and with limit:auto. The kernel counts in batches, and may have
   been asked again between. */
static void group(void)
{
	size_t before = headroom("CGROUP"), after;
	void *block;

	CHECK(before > 32 * MIB && before < 64 * MIB);
	block = malloc(16 * MIB);
	use(block, 16 * MIB);
	after = headroom("CGROUP");
	CHECK(before - after >= 15 * MIB && before - after < 16 * MIB + SLACK);
	free(block);
	CHECK(headroom("CGROUP") + SLACK > before);
}

#define QUESTIONS 1000

static int again[2];

/* Under the strict mode any other system call than read(), write() and exit() ends the thread, and
   so does a look at the processor's clock. */
static void *ask_strictly(void *arg)
{
	size_t sum = 0;
	char round;

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
		return arg;
	while (read(again[0], &round, 1) == 1)
		for (int i = 0; i < QUESTIONS; i++)
			sum += oomreclaim_headroom(NULL) > 0;
	*(size_t *)arg = sum;
	syscall(SYS_exit, 0);
	return NULL;
}

/* Not in a child: its first question calls for a thread. Between the rounds oomreclaimd forgets
   that somebody asked. */
static void no_system_call(void)
{
	size_t sum = 0, rounds = 6;
	pthread_t thread;

	headroom("BUDGET");
	CHECK_EQ(pipe(again), 0);
	CHECK_EQ(pthread_create(&thread, NULL, ask_strictly, &sum), 0);
	for (size_t i = 0; i < rounds; i++) {
		CHECK_EQ(write(again[1], "", 1), 1);
		usleep(100000);
	}
	close(again[1]);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(sum, rounds * QUESTIONS);
}

/* ---- Callbacks ---- */

static struct pool pool;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint told, evictions;

static size_t evict(const struct oomreclaim_control *control, void *arg)
{
	size_t freed;

	(void)arg;
	CHECK(control->reason != OOMRECLAIM_REASON_ROOM && control->bytes_wanted > 0);
	CHECK_EQ(control->headroom, 0);
	if (pthread_mutex_trylock(&lock) != 0)
		return 0;
	evictions++;
	freed = pool_evict(&pool, control->bytes_wanted);
	pthread_mutex_unlock(&lock);
	return freed;
}

/* Here nobody waits with the lock held, as with other callbacks of oomreclaimd. */
static size_t tell(const struct oomreclaim_control *control, void *arg)
{
	CHECK_EQ(control->reason, OOMRECLAIM_REASON_ROOM);
	CHECK_EQ(control->is_direct, false);
	CHECK_EQ(control->bytes_wanted, 0);
	CHECK_EQ(control->size, 0);
	CHECK(control->headroom >= 4 * MIB && control->headroom <= 32 * MIB);
	pthread_mutex_lock(&lock);
	*(pthread_t *)arg = pthread_self();
	pthread_mutex_unlock(&lock);
	told++;
	return 12345;
}

/* More than fits: what does not is evicted. */
static void overfill(void)
{
	evictions = 0;
	for (int i = 0; i < 64; i++) {
		struct pool own = {0};

		CHECK(pool_add(&own, MIB));
		pthread_mutex_lock(&lock);
		pool_append(&pool, &own);
		pthread_mutex_unlock(&lock);
	}
	CHECK(evictions > 0);
}

static void wait_until_told(unsigned times)
{
	for (int i = 0; i < STEPS_MAX && told < times; i++)
		usleep(STEP_US);
	CHECK_EQ(told, times);
}

/* Run with limit:32M. */
static void callbacks(void)
{
	struct oomreclaim_reclaim_stats stats;
	struct oomreclaim_callback_stats own;
	oomreclaim_handle handle;
	pthread_t thread = pthread_self();

	CHECK_EQ(oomreclaim_register("pool", 0, 0, evict, NULL, NULL), 0);
	CHECK_EQ(oomreclaim_register("room", 0, OOMRECLAIM_CALLBACK_ROOM, tell, &thread, &handle),
	         0);
	overfill();
	CHECK_EQ(told, 0);
	pool_clear(&pool);
	wait_until_told(1);
	CHECK(!pthread_equal(thread, pthread_self()));
	overfill();
	pool_clear(&pool);
	wait_until_told(2);
	CHECK_EQ(oomreclaim_callback_stats(handle, &own, sizeof own), 0);
	CHECK(own.calls >= 1 && own.calls <= 2);
	CHECK_EQ(own.bytes_claimed, 0);
	CHECK_EQ(oomreclaim_reclaim_stats(&stats, sizeof stats), 0);
	CHECK_EQ(stats.background_rounds, 0);
	CHECK_EQ(oomreclaim_unregister(handle), 0);
	CHECK_EQ(oomreclaim_unregister(handle), EINVAL);
}

/* ---- Levels ---- */

static _Atomic enum oomreclaim_level lowest, highest;

static size_t note_level(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	if (control->level < lowest)
		lowest = control->level;
	if (control->level > highest)
		highest = control->level;
	return 0;
}

/* Run with limit:32M. */
static void level(void)
{
	lowest = OOMRECLAIM_LEVEL_CRITICAL;
	CHECK_EQ(oomreclaim_register("level", 1, 0, note_level, NULL, NULL), 0);
	CHECK_EQ(oomreclaim_reclaim(MIB), 0);
	CHECK_EQ(highest, OOMRECLAIM_LEVEL_NONE);
	/* A cache that gives what is wanted, at its own limit. */
	CHECK_EQ(oomreclaim_register("pool", 0, 0, evict, NULL, NULL), 0);
	lowest = OOMRECLAIM_LEVEL_CRITICAL;
	overfill();
	CHECK_EQ(lowest, OOMRECLAIM_LEVEL_LOW);
	CHECK(highest < OOMRECLAIM_LEVEL_CRITICAL);
	/* By hand it is what is left. */
	highest = OOMRECLAIM_LEVEL_NONE;
	CHECK(oomreclaim_reclaim(1) > 0);
	CHECK(highest >= OOMRECLAIM_LEVEL_MEDIUM);
}

/* ---- Targets ---- */

static struct pool caches[2];
static atomic_size_t sizes[2];
static oomreclaim_handle handles[2];
static atomic_uint scans;

static size_t count(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	return *(atomic_size_t *)arg;
}

static size_t scan(const struct oomreclaim_control *control, void *arg)
{
	size_t i = (size_t)((atomic_size_t *)arg - sizes), freed;

	if (pthread_mutex_trylock(&lock) != 0)
		return OOMRECLAIM_STOP;
	scans++;
	freed = pool_evict(&caches[i], control->bytes_wanted);
	sizes[i] -= freed;
	pthread_mutex_unlock(&lock);
	return freed;
}

static void enlist(size_t i)
{
	const struct oomreclaim_shrinker shrinker = {.name = "cache",
	                                             .count = count,
	                                             .scan = scan,
	                                             .arg = &sizes[i],
	                                             .cost = 1};

	CHECK_EQ(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, &handles[i]), 0);
}

/* As large as the target says. */
static void insert(size_t i)
{
	struct pool own = {0};
	size_t target;

	CHECK(pool_add(&own, 8 * KIB));
	target = oomreclaim_cache_target(handles[i]);
	pthread_mutex_lock(&lock);
	pool_append(&caches[i], &own);
	sizes[i] += 8 * KIB;
	if (sizes[i] > target)
		sizes[i] -= pool_evict(&caches[i], sizes[i] - target);
	pthread_mutex_unlock(&lock);
}

static void wait_for_targets(void)
{
	for (int i = 0; i < STEPS_MAX && (oomreclaim_cache_target(handles[0]) == SIZE_MAX ||
	                                  oomreclaim_cache_target(handles[1]) == SIZE_MAX);
	     i++)
		usleep(STEP_US);
}

/* Run with limit:64M. Both fill, and nothing fails; then memory goes to the one that needs it. */
static void targets(void)
{
	struct oomreclaim_stats stats;

	enlist(0);
	enlist(1);
	wait_for_targets();
	for (int i = 0; i < 100000; i++)
		insert((size_t)i % 2);
	CHECK_EQ(oomreclaim_stats_get(&stats, sizeof stats), 0);
	CHECK_EQ(stats.refused, 0);
	/* None fails in most runs, some where the heap's records need more than was left for them;
	   without targets, 92,000. */
	CHECK(stats.failures < 100);
	CHECK(sizes[0] + sizes[1] > 48 * MIB);
	CHECK(sizes[0] < 2 * sizes[1] && sizes[1] < 2 * sizes[0]);
	for (int i = 0; i < STEPS_MAX && oomreclaim_cache_target(handles[1]) < 36 * MIB; i++) {
		insert((size_t)i % 2);
		CHECK_EQ(oomreclaim_cache_regret(handles[1], 64 * KIB), 0);
		usleep(STEP_US);
	}
	CHECK(oomreclaim_cache_target(handles[0]) < 28 * MIB);
}

/* Run with limit:64M. A child that maps nothing has a thread as soon as it asks. */
static void child(void)
{
	pid_t pid;

	enlist(0);
	for (int i = 0; i < STEPS_MAX && oomreclaim_cache_target(handles[0]) == SIZE_MAX; i++)
		usleep(STEP_US);
	pid = fork();
	if (pid == 0) {
		oomreclaim_set_limit(32 * MIB);
		for (int i = 0; i < STEPS_MAX / 10; i++) {
			if (oomreclaim_cache_target(handles[0]) <= 32 * MIB)
				_exit(0);
			usleep(STEP_US);
		}
		_exit(1);
	}
	CHECK_EQ(check_child(pid), 0);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"unlimited", unlimited},
		{"budget", budget},
		{"high", high},
		{"address-space", address_space},
		{"data", data},
		{"address-space-full", address_space_full},
		{"data-full", data_full},
		{"group", group},
		{"no-system-call", no_system_call},
		{"callbacks", callbacks},
		{"level", level},
		{"targets", targets},
		{"child", child},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
