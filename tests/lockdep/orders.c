/* SPDX-License-Identifier: BSD-2-Clause */
/* Orders of locks, right and wrong, and locks that are used in every way there is. Run on
   liboomreclaim-debug.so; what it has to say of each is in meson.build. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include "../preload/check.h"
#include "oomreclaim.h"

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER,
		       c = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t readers = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static mtx_t standard;

/* Too large for the compiler to leave out. */
static void allocate(void)
{
	void *volatile memory = malloc(100);

	CHECK(memory != NULL);
	free(memory);
}

static size_t (*in_callback)(void);

static size_t call(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	return in_callback();
}

/* The callbacks are called, though there is memory. */
static void call_back(size_t (*function)(void))
{
	oomreclaim_handle handle;

	in_callback = function;
	CHECK_EQ(oomreclaim_register("call", 0, 0, call, NULL, &handle), 0);
	oomreclaim_reclaim(1);
	CHECK_EQ(oomreclaim_unregister(handle), 0);
}

static size_t wait_a(void)
{
	pthread_mutex_lock(&a);
	pthread_mutex_unlock(&a);
	return 0;
}

static void hold_a(void)
{
	pthread_mutex_lock(&a);
	allocate();
	pthread_mutex_unlock(&a);
}

/* Whichever half comes first. */
static void callback_first(void)
{
	call_back(wait_a);
	hold_a();
	hold_a();
	call_back(wait_a);
}

static void allocation_first(void)
{
	hold_a();
	call_back(wait_a);
	hold_a();
}

/* a is held while b is waited for, b while c is, c by a callback, and memory is wanted with a. */
static void chain(void)
{
	hold_a();
	pthread_mutex_lock(&a);
	pthread_mutex_lock(&b);
	pthread_mutex_unlock(&b);
	pthread_mutex_unlock(&a);
	call_back(wait_a);
}

static size_t wait_c(void)
{
	pthread_mutex_lock(&c);
	pthread_mutex_unlock(&c);
	return 0;
}

static void indirect(void)
{
	/* The callback waits for c; who has c may wait for b, and who has b for a; who has a allocates. */
	call_back(wait_c);
	pthread_mutex_lock(&c);
	pthread_mutex_lock(&b);
	pthread_mutex_unlock(&b);
	pthread_mutex_unlock(&c);
	pthread_mutex_lock(&b);
	pthread_mutex_lock(&a);
	pthread_mutex_unlock(&b);
	pthread_mutex_unlock(&a);
	hold_a();
}

/* The other way round: nobody who has c waits for a. */
static void not_a_circle(void)
{
	call_back(wait_c);
	pthread_mutex_lock(&a);
	pthread_mutex_lock(&b);
	allocate();
	pthread_mutex_unlock(&b);
	pthread_mutex_lock(&c);
	pthread_mutex_unlock(&c);
	pthread_mutex_unlock(&a);
}

static size_t try_all(void)
{
	const struct timespec past = {0, 0};

	CHECK(pthread_mutex_trylock(&a) == 0);
	pthread_mutex_unlock(&a);
	CHECK(pthread_mutex_timedlock(&a, &past) == 0);
	pthread_mutex_unlock(&a);
	CHECK(pthread_mutex_clocklock(&a, CLOCK_MONOTONIC, &past) == 0);
	pthread_mutex_unlock(&a);
	CHECK(pthread_rwlock_trywrlock(&readers) == 0);
	pthread_rwlock_unlock(&readers);
	CHECK(pthread_rwlock_tryrdlock(&readers) == 0);
	pthread_rwlock_unlock(&readers);
	CHECK(pthread_spin_trylock(&spin) == 0);
	pthread_spin_unlock(&spin);
	CHECK(mtx_trylock(&standard) == thrd_success);
	mtx_unlock(&standard);
	return 0;
}

static void hold_all(void)
{
	hold_a();
	pthread_rwlock_wrlock(&readers);
	allocate();
	pthread_rwlock_unlock(&readers);
	pthread_spin_lock(&spin);
	allocate();
	pthread_spin_unlock(&spin);
	mtx_lock(&standard);
	allocate();
	mtx_unlock(&standard);
}

static void prepare(void)
{
	pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
	mtx_init(&standard, mtx_plain);
}

static void tries(void)
{
	prepare();
	hold_all();
	call_back(try_all);
}

static size_t wait_spin(void)
{
	pthread_spin_lock(&spin);
	pthread_spin_unlock(&spin);
	return 0;
}

static size_t wait_standard(void)
{
	mtx_lock(&standard);
	mtx_unlock(&standard);
	return 0;
}

static size_t wait_read(void)
{
	pthread_rwlock_rdlock(&readers);
	pthread_rwlock_unlock(&readers);
	return 0;
}

static size_t wait_write(void)
{
	pthread_rwlock_wrlock(&readers);
	pthread_rwlock_unlock(&readers);
	return 0;
}

static void spins(void)
{
	prepare();
	hold_all();
	call_back(wait_spin);
}

static void standards(void)
{
	prepare();
	hold_all();
	call_back(wait_standard);
}

static void writer_held(void)
{
	prepare();
	hold_all();
	call_back(wait_read);
}

static void hold_read(void)
{
	pthread_rwlock_rdlock(&readers);
	allocate();
	pthread_rwlock_unlock(&readers);
}

/* Two who read don't wait for each other. */
static void reader_held(void)
{
	hold_read();
	call_back(wait_read);
}

static void writer_waits(void)
{
	hold_read();
	call_back(wait_write);
}

static void scopes(void)
{
	unsigned old = oomreclaim_scope_save(OOMRECLAIM_SCOPE_NORECLAIM);

	call_back(wait_a);
	hold_a();
	oomreclaim_scope_restore(old);
	old = oomreclaim_scope_save(OOMRECLAIM_SCOPE_NORETRY);
	hold_a();
	oomreclaim_scope_restore(old);
	call_back(wait_a);
}

/* Of one class by the place of initialisation, wherever they are. */
static __attribute__((noinline)) pthread_mutex_t *new_lock(void)
{
	pthread_mutex_t *lock = malloc(sizeof *lock);

	CHECK(lock != NULL && pthread_mutex_init(lock, NULL) == 0);
	return lock;
}

static pthread_mutex_t *shards[2];

static size_t wait_shard(void)
{
	pthread_mutex_lock(shards[1]);
	pthread_mutex_unlock(shards[1]);
	return 0;
}

static void classes(void)
{
	shards[0] = new_lock();
	shards[1] = new_lock();
	pthread_mutex_lock(shards[0]);
	allocate();
	pthread_mutex_unlock(shards[0]);
	call_back(wait_shard);
}

/* Unregister waits for the callback. */
static void unregister(void)
{
	oomreclaim_handle handle;

	in_callback = wait_a;
	CHECK_EQ(oomreclaim_register("call", 0, 0, call, NULL, &handle), 0);
	oomreclaim_reclaim(1);
	pthread_mutex_lock(&a);
	CHECK_EQ(oomreclaim_unregister(handle), 0);
	pthread_mutex_unlock(&a);
}

static void *unlock_a(void *arg)
{
	pthread_mutex_unlock(&a);
	return arg;
}

static void *die_with(void *lock)
{
	CHECK_EQ(pthread_mutex_lock(lock), 0);
	return NULL;
}

/* Recursive, robust, shared, destroyed and used again, unlocked by another thread, held at fork(), more
   than there is room for: nothing to report, and nothing breaks. */
static void odd_ones(void)
{
	pthread_mutexattr_t attributes;
	pthread_mutex_t lock, *many;
	pthread_t thread;
	pid_t pid;

	CHECK_EQ(pthread_mutexattr_init(&attributes), 0);
	CHECK_EQ(pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE), 0);
	CHECK_EQ(pthread_mutex_init(&lock, &attributes), 0);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(pthread_mutex_lock(&lock), 0);
	allocate();
	for (int i = 0; i < 100; i++)
		CHECK_EQ(pthread_mutex_unlock(&lock), 0);
	CHECK_EQ(pthread_mutex_destroy(&lock), 0);
	CHECK_EQ(pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK), 0);
	CHECK_EQ(pthread_mutex_init(&lock, &attributes), 0);
	CHECK_EQ(pthread_mutex_lock(&lock), 0);
	CHECK_EQ(pthread_mutex_lock(&lock), EDEADLK);
	CHECK_EQ(pthread_mutex_unlock(&lock), 0);
	CHECK_EQ(pthread_mutex_unlock(&lock), EPERM);
	CHECK_EQ(pthread_mutex_destroy(&lock), 0);
	CHECK_EQ(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST), 0);
	CHECK_EQ(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED), 0);
	CHECK_EQ(pthread_mutex_init(&lock, &attributes), 0);
	CHECK_EQ(pthread_create(&thread, NULL, die_with, &lock), 0);
	pthread_join(thread, NULL);
	CHECK_EQ(pthread_mutex_lock(&lock), EOWNERDEAD);
	CHECK_EQ(pthread_mutex_consistent(&lock), 0);
	allocate();
	CHECK_EQ(pthread_mutex_unlock(&lock), 0);
	/* a is not held any more when this thread allocates. */
	pthread_mutex_lock(&a);
	CHECK_EQ(pthread_create(&thread, NULL, unlock_a, NULL), 0);
	pthread_join(thread, NULL);
	allocate();
	call_back(wait_a);
	allocate();
	pthread_mutex_lock(&b);
	pid = fork();
	if (pid == 0) {
		allocate();
		pthread_mutex_unlock(&b);
		_exit(0);
	}
	pthread_mutex_unlock(&b);
	CHECK_EQ(check_child(pid), 0);
	many = calloc(3000, sizeof *many);
	CHECK(many != NULL);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(pthread_mutex_lock(&many[i]), 0);
	allocate();
	for (int i = 0; i < 100; i++)
		CHECK_EQ(pthread_mutex_unlock(&many[i]), 0);
}

/* One line, and no more, where there are more than it can watch. */
static void too_many(void)
{
	pthread_mutex_t *many = calloc(3000, sizeof *many);

	CHECK(many != NULL);
	for (int i = 0; i < 3000; i++) {
		CHECK_EQ(pthread_mutex_lock(&many[i]), 0);
		CHECK_EQ(pthread_mutex_unlock(&many[i]), 0);
	}
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"callback-first", callback_first},
		{"allocation-first", allocation_first},
		{"chain", chain},
		{"indirect", indirect},
		{"not-a-circle", not_a_circle},
		{"tries", tries},
		{"spins", spins},
		{"standards", standards},
		{"writer-held", writer_held},
		{"reader-held", reader_held},
		{"writer-waits", writer_waits},
		{"scopes", scopes},
		{"classes", classes},
		{"unregister", unregister},
		{"odd-ones", odd_ones},
		{"too-many", too_many},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
