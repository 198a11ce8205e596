/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaimd: run with limit:64M,high:75% and with other settings. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim.h"

/* Long enough for any machine; the launcher ends what hangs. */
#define STEPS_MAX 1000000

static struct pool pool;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int background_calls, direct_calls;
static atomic_int only_background_direct, only_direct_background;

static size_t evict(const struct oomreclaim_control *control, void *arg)
{
	size_t freed;

	(void)arg;
	if (control->is_direct) {
		if (pthread_mutex_trylock(&lock))
			return 0;
		direct_calls++;
	} else {
		/* Here nobody can be waiting for us with it. */
		CHECK_EQ(control->reason, OOMRECLAIM_REASON_WATERMARK);
		pthread_mutex_lock(&lock);
		background_calls++;
	}
	freed = pool_evict(&pool, control->bytes_wanted);
	pthread_mutex_unlock(&lock);
	return freed;
}

static size_t only_background(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	only_background_direct += control->is_direct;
	return 0;
}

static size_t only_direct(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	only_direct_background += !control->is_direct;
	return 0;
}

static unsigned count_in(const char *path)
{
	DIR *dir = opendir(path);
	unsigned count = 0;

	CHECK(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static bool has_thread(void)
{
	/* "." and ".." and the main one. */
	return count_in("/proc/self/task") > 3;
}

static void add(void)
{
	struct pool own = {0};

	CHECK(pool_add(&own, 256 * KIB));
	pthread_mutex_lock(&lock);
	pool_append(&pool, &own);
	pthread_mutex_unlock(&lock);
}

static void use(void)
{
	for (int i = 0; i < STEPS_MAX && background_calls < 5; i++) {
		add();
		if (i % 16 == 0)
			usleep(1000);
	}
	CHECK(background_calls >= 5);
	CHECK(has_thread());
}

static void register_all(void)
{
	CHECK_EQ(oomreclaim_register("pool", 0, 0, evict, NULL, NULL), 0);
	CHECK_EQ(oomreclaim_register("b", 1, OOMRECLAIM_CALLBACK_BACKGROUND, only_background, NULL,
	                             NULL),
	         0);
	CHECK_EQ(oomreclaim_register("d", 1, OOMRECLAIM_CALLBACK_DIRECT, only_direct, NULL, NULL),
	         0);
}

static atomic_int endings;

static size_t end_thread(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	if (!control->is_direct && endings++ < 2)
		pthread_exit(NULL);
	return 0;
}

/* Against the rules; and the next thread does what was left. */
static void ended_by_callback(void)
{
	CHECK_EQ(oomreclaim_register("end", 2, 0, end_thread, NULL, NULL), 0);
	register_all();
	use();
	CHECK(endings > 2);
}

/* The thread starts when the watermark is first met, and reclaims before anything fails. */
static void watermark(void)
{
	struct oomreclaim_reclaim_stats stats;

	CHECK(!has_thread());
	register_all();
	use();
	CHECK_EQ(oomreclaim_reclaim_stats(&stats, sizeof stats), 0);
	/* The fifth may still be under way. */
	CHECK(stats.background_rounds >= 4 && stats.background_bytes_claimed > 0 &&
	      stats.background_bytes_measured > 0);
	CHECK_EQ(oomreclaim_reclaim_stats(NULL, sizeof stats), EINVAL);
	/* Direct reclaim is left for what does not fit all the same. */
	oomreclaim_reclaim(1);
	CHECK(only_background_direct == 0 && only_direct_background == 0);
}

/* A child has its own. */
static void child(void)
{
	pid_t pid;

	register_all();
	use();
	pthread_mutex_lock(&lock);
	pid = fork();
	if (!pid) {
		pthread_mutex_unlock(&lock);
		CHECK(!has_thread());
		background_calls = 0;
		use();
		_exit(0);
	}
	pthread_mutex_unlock(&lock);
	CHECK_EQ(check_child(pid), 0);
}

/* Nothing to give: it does not keep itself busy, and the limit is what it was. */
static void nothing(void)
{
	CHECK(pool_fill(&pool, 256 * KIB) > 100);
	errno = 0;
	CHECK(!malloc(MIB) && errno == ENOMEM);
}

/* Not one thread or descriptor more where neither watermark nor pressure is set. */
static void unused(void)
{
	CHECK(pool_fill(&pool, 256 * KIB) > 100);
	/* To look needs a little memory. */
	pool_clear(&pool);
	CHECK(!has_thread());
	/* "." and "..", the three standard ones, and the directory's own. */
	CHECK_EQ(count_in("/proc/self/fd"), 6);
}

/* The process ends while a callback sleeps in the background: at once, not with it. */
static size_t sleep_on(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	if (!control->is_direct) {
		background_calls++;
		for (;;)
			pause();
	}
	return 0;
}

static void ending(void)
{
	CHECK_EQ(oomreclaim_register("sleeper", 0, 0, sleep_on, NULL, NULL), 0);
	/* As far as the watermark, not to the limit. */
	for (int i = 0; i < STEPS_MAX && background_calls == 0; i++) {
		if (pool.count < 200)
			CHECK(pool_add(&pool, 256 * KIB));
		usleep(1000);
	}
	CHECK(background_calls > 0);
}

/* malloc() is no cancellation point: not where it reads the cgroup's files, nor where it starts
   oomreclaimd or wakes it. Nor is fork(), where the child's is not the parent's. */
static atomic_bool is_held_off, is_cancelled;

static void *allocate(void *arg)
{
	int until = background_calls + 2;
	pid_t pid;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	is_held_off = true;
	while (!is_cancelled)
		sched_yield();
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	for (int i = 0; i < STEPS_MAX && background_calls < until; i++) {
		add();
		sched_yield();
	}
	pid = fork();
	if (!pid)
		_exit(3);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	CHECK_EQ(check_child(pid), 3);
	return arg;
}

static void cancelled(void)
{
	pthread_t thread;
	void *result;

	CHECK_EQ(oomreclaim_register("pool", 0, 0, evict, NULL, NULL), 0);
	for (int i = 0; i < 3; i++) {
		is_held_off = is_cancelled = false;
		CHECK(!pthread_create(&thread, NULL, allocate, &pool));
		while (!is_held_off)
			sched_yield();
		CHECK(!pthread_cancel(thread));
		is_cancelled = true;
		CHECK(!pthread_join(thread, &result) && result == &pool);
	}
	CHECK(background_calls >= 6);
}

/* libc allocates under a lock that pthread_create() may take, for a copy of the default attributes.
   That copy meets the watermark. */
#define CPU_SET_BYTES ((size_t)16 << 20)

static void fill_to_watermark(size_t spare_bytes)
{
	struct oomreclaim_stats stats;

	do {
		CHECK(pool_add(&pool, 256 * KIB));
		CHECK_EQ(oomreclaim_stats_get(&stats, sizeof stats), 0);
	} while (stats.charged + spare_bytes <= stats.high);
	CHECK(stats.charged < stats.high);
}

static void attributes(void)
{
	pthread_attr_t given, taken;
	cpu_set_t *cpus = calloc(1, CPU_SET_BYTES);

	CHECK(cpus);
	CPU_SET(0, cpus);
	CHECK(!pthread_attr_init(&given));
	CHECK(!pthread_attr_setaffinity_np(&given, CPU_SET_BYTES, cpus));
	CHECK(!pthread_setattr_default_np(&given));
	fill_to_watermark(CPU_SET_BYTES);
	CHECK(!has_thread());
	CHECK(!pthread_getattr_default_np(&taken));
	CHECK(has_thread());
}

/* A callback in the background has a lock, as it may. The child of a program without threads finds
   it free. */
static atomic_bool has_lock;

static size_t hold_for_long(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	if (control->is_direct)
		return 0;
	pthread_mutex_lock(&lock);
	has_lock = true;
	usleep(20000);
	pthread_mutex_unlock(&lock);
	return 0;
}

static void fork_beside(void)
{
	CHECK_EQ(oomreclaim_register("holder", 0, 0, hold_for_long, NULL, NULL), 0);
	for (int i = 0; i < 5; i++) {
		pid_t pid;

		has_lock = false;
		while (!has_lock && pool.count < 220) {
			CHECK(pool_add(&pool, 256 * KIB));
			usleep(1000);
		}
		CHECK(has_lock);
		pid = fork();
		if (!pid)
			_exit(pthread_mutex_trylock(&lock));
		CHECK_EQ(check_child(pid), 0);
		pool_clear(&pool);
	}
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"watermark", watermark},
		{"child", child},
		{"nothing", nothing},
		{"unused", unused},
		{"ending", ending},
		{"cancelled", cancelled},
		{"fork", fork_beside},
		{"attributes", attributes},
		{"ended-by-callback", ended_by_callback},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
