/* SPDX-License-Identifier: BSD-2-Clause */
/* fork() at any moment leaves a child whose ladder works. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "je.h"
#include "oomreclaim.h"

enum { STACK_BYTES = 128 << 10 };

static struct pool pool;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int calls;

static pthread_t start(void *(*function)(void *))
{
	pthread_attr_t attr;
	pthread_t thread;

	CHECK(pthread_attr_init(&attr) == 0);
	CHECK(pthread_attr_setstacksize(&attr, STACK_BYTES) == 0);
	CHECK(pthread_create(&thread, &attr, function, NULL) == 0);
	return thread;
}

/* In the child: up to the limit and beyond, which only the callback makes possible. */
static size_t evict_own(const struct oomreclaim_control *control, void *arg)
{
	calls++;
	return pool_evict(arg, control->bytes_wanted);
}

static __attribute__((noreturn)) void use_child(oomreclaim_handle inherited)
{
	struct pool own = {0};
	size_t most;

	CHECK(oomreclaim_unregister(inherited) == 0);
	most = pool_fill(&own, 256 * KIB);
	pool_clear(&own);
	CHECK(oomreclaim_register("child", 0, 0, evict_own, &own, NULL) == 0);
	calls = 0;
	for (size_t i = 0; i < 2 * most + 100; i++)
		CHECK(pool_add(&own, 256 * KIB));
	CHECK(calls > 0);
	_exit(0);
}

/* ---- Another thread is in the callback ---- */

static sem_t is_inside, may_leave, may_fail;
static bool is_live, is_child;

static size_t block(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	if (!is_live)
		return 0;
	calls++;
	/* Once: a round may not be enough. */
	if (!is_child && calls == 1) {
		sem_post(&is_inside);
		sem_wait(&may_leave);
	}
	return space_release(control->bytes_wanted);
}

static void *fail_when_told(void *arg)
{
	(void)arg;
	sem_wait(&may_fail);
	CHECK(malloc(MIB));
	return NULL;
}

/* The child inherits a round that nobody will ever end. */
static void during_callback(void)
{
	oomreclaim_handle handle;
	pthread_t thread;
	pid_t pid;

	CHECK(sem_init(&is_inside, 0, 0) == 0 && sem_init(&may_leave, 0, 0) == 0 &&
	      sem_init(&may_fail, 0, 0) == 0);
	CHECK(oomreclaim_register("block", 0, 0, block, NULL, &handle) == 0);
	thread = start(fail_when_told);
	exhaust(&pool);
	is_live = true;
	sem_post(&may_fail);
	sem_wait(&is_inside);
	pid = fork();
	if (!pid) {
		is_child = true;
		CHECK(malloc(MIB));
		CHECK(calls >= 2);
		/* It does not wait for the call that was under way in the parent. */
		space_release(64 * MIB);
		use_child(handle);
	}
	CHECK_EQ(check_child(pid), 0);
	sem_post(&may_leave);
	pthread_join(thread, NULL);
	is_live = false;
	CHECK(oomreclaim_unregister(handle) == 0);
}

/* ---- The callback forks ---- */

static pid_t forked;

static size_t fork_and_release(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	if (!is_live)
		return 0;
	calls++;
	if (calls == 1) {
		forked = fork();
		CHECK(forked >= 0);
		/* On both sides it is still a callback. */
		errno = 0;
		CHECK(!malloc(64 * MIB) && errno == ENOMEM);
		CHECK(oomreclaim_reclaim(1) == 0);
	}
	return space_release(control->bytes_wanted);
}

static void in_callback(void)
{
	oomreclaim_handle handle;

	CHECK(oomreclaim_register("fork", 0, 0, fork_and_release, NULL, &handle) == 0);
	exhaust(&pool);
	is_live = true;
	CHECK(malloc(MIB));
	if (!forked) {
		space_release(64 * MIB);
		use_child(handle);
	}
	CHECK_EQ(check_child(forked), 0);
	CHECK(malloc(MIB));
}

/* ---- Under load ---- */

enum { CHILDREN = 60, LOADERS = 4 };
static bool is_over;

static size_t evict_shared(const struct oomreclaim_control *control, void *arg)
{
	size_t freed;

	(void)arg;
	if (pthread_mutex_trylock(&lock))
		return 0;
	freed = pool_evict(&pool, control->bytes_wanted);
	pthread_mutex_unlock(&lock);
	__atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
	return freed;
}

static void *load(void *arg)
{
	struct pool own = {0};

	(void)arg;
	sem_wait(&may_fail);
	while (!__atomic_load_n(&is_over, __ATOMIC_SEQ_CST)) {
		if (!pool_add(&own, 256 * KIB))
			continue;
		pthread_mutex_lock(&lock);
		pool_append(&pool, &own);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void under_load(void)
{
	pthread_t threads[LOADERS];
	oomreclaim_handle handle;
	int before;

	CHECK(sem_init(&may_fail, 0, 0) == 0);
	CHECK(oomreclaim_register("shared", 0, 0, evict_shared, NULL, &handle) == 0);
	for (int i = 0; i < LOADERS; i++)
		threads[i] = start(load);
	for (int i = 0; i < LOADERS; i++)
		sem_post(&may_fail);
	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid;

		/* Not before they are at the limit. */
		before = __atomic_load_n(&calls, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&calls, __ATOMIC_SEQ_CST) == before)
			usleep(100);
		/* The cache, which the child gives up, has to be whole. */
		pthread_mutex_lock(&lock);
		pid = fork();
		pthread_mutex_unlock(&lock);
		if (!pid) {
			pool_clear(&pool);
			use_child(handle);
		}
		CHECK_EQ(check_child(pid), 0);
	}
	__atomic_store_n(&is_over, true, __ATOMIC_SEQ_CST);
	for (int i = 0; i < LOADERS; i++)
		pthread_join(threads[i], NULL);
}

/* ---- Other threads are about to get what is charged already ---- */

#define GROWN ((size_t)9 << 20) /* of no other class, and larger than all that is beside it */
#define GROWN_MAX 150           /* by each thread: there are addresses for that */
#define OTHER 10                /* exit status of a child that is charged for something else */

static void *grow(void *arg)
{
	sem_post(&may_fail);
	for (int i = 0; i < GROWN_MAX && !__atomic_load_n(&is_over, __ATOMIC_SEQ_CST); i++) {
		CHECK(malloc(GROWN));
		usleep(100);
	}
	return arg;
}

/* What jemalloc has says what is charged, but for records and the like. */
static bool is_charged(void)
{
	struct oomreclaim_limit_stats stats;
	size_t resident, length = sizeof resident;
	uint64_t epoch = 1;

	CHECK_EQ(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
	CHECK_EQ(mallctl("stats.resident", &resident, &length, NULL, 0), 0);
	CHECK_EQ(oomreclaim_limit_stats(&stats, sizeof stats), 0);
	return stats.charged < resident + GROWN / 2 && resident < stats.charged + GROWN / 2;
}

static void while_charging(void)
{
	pthread_t threads[LOADERS];
	int others = 0, status;

	CHECK(sem_init(&may_fail, 0, 0) == 0);
	for (int i = 0; i < LOADERS; i++)
		threads[i] = start(grow);
	for (int i = 0; i < LOADERS; i++)
		sem_wait(&may_fail);
	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(is_charged() ? 0 : OTHER);
		status = check_child(pid);
		CHECK(status == 0 || status == OTHER);
		others += status == OTHER;
	}
	/* A thread that has its pages, and has not counted them when fork() comes, is seldom. */
	CHECK(others <= CHILDREN / 10);
	__atomic_store_n(&is_over, true, __ATOMIC_SEQ_CST);
	for (int i = 0; i < LOADERS; i++)
		pthread_join(threads[i], NULL);
	CHECK(is_charged());
}

/* ---- Another thread is about to extend the heap by sbrk() ---- */

static sem_t is_in_sbrk;
static __thread bool is_watched;

/* In the library's place of libc's: once it has said where the break is, the heap asks each time.
   There is never anything to be had, and to say so takes a while. */
void *sbrk(intptr_t increment)
{
	static bool has_told;

	(void)increment;
	if (!has_told) {
		has_told = true;
		return &has_told;
	}
	if (is_watched) {
		is_watched = false;
		sem_post(&is_in_sbrk);
		usleep(300000);
	}
	errno = ENOMEM;
	return (void *)-1;
}

static void *fail_in_sbrk(void *arg)
{
	(void)arg;
	sem_wait(&may_fail);
	is_watched = true;
	CHECK(malloc(MIB));
	return NULL;
}

static size_t release_space(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	return is_live ? space_release(control->bytes_wanted) : 0;
}

static void in_sbrk(void)
{
	oomreclaim_handle handle;
	pthread_t thread;
	pid_t pid;

	CHECK(sem_init(&is_in_sbrk, 0, 0) == 0 && sem_init(&may_fail, 0, 0) == 0);
	CHECK(oomreclaim_register("space", 0, 0, release_space, NULL, &handle) == 0);
	thread = start(fail_in_sbrk);
	exhaust(&pool);
	is_live = true;
	sem_post(&may_fail);
	sem_wait(&is_in_sbrk);
	pid = fork();
	if (!pid) {
		CHECK(malloc(MIB));
		space_release(64 * MIB);
		use_child(handle);
	}
	CHECK_EQ(check_child(pid), 0);
	pthread_join(thread, NULL);
}

/* ---- Another thread makes the record of new addresses, which is a mapping itself ---- */

static sem_t is_in_mmap;
static __thread enum { UNWATCHED, WATCHED, MAPPED_MUCH } mappings;

/* More than one record is for. */
#define NEW_ADDRESSES (3072 * MIB)

/* In the library's place of libc's: the mapping that follows the large one takes a while. */
void *mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	if (mappings == WATCHED && bytes >= NEW_ADDRESSES) {
		mappings = MAPPED_MUCH;
	} else if (mappings == MAPPED_MUCH) {
		mappings = UNWATCHED;
		sem_post(&is_in_mmap);
		usleep(300000);
	}
	return (void *)syscall(SYS_mmap, at, bytes, prot, flags, fd, offset);
}

static void *map_new_addresses(void *arg)
{
	(void)arg;
	sem_wait(&may_fail);
	mappings = WATCHED;
	CHECK(malloc(NEW_ADDRESSES));
	return NULL;
}

static void in_record(void)
{
	pthread_t thread;
	pid_t pid;

	CHECK(sem_init(&is_in_mmap, 0, 0) == 0 && sem_init(&may_fail, 0, 0) == 0);
	thread = start(map_new_addresses);
	sem_post(&may_fail);
	sem_wait(&is_in_mmap);
	pid = fork();
	if (!pid) {
		CHECK(malloc(NEW_ADDRESSES));
		_exit(0);
	}
	CHECK_EQ(check_child(pid), 0);
	pthread_join(thread, NULL);
	CHECK(malloc(NEW_ADDRESSES));
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"during-callback", during_callback},
		{"in-callback", in_callback},
		{"under-load", under_load},
		{"while-charging", while_charging},
		{"in-sbrk", in_sbrk},
		{"in-record", in_record},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
