/* SPDX-License-Identifier: BSD-2-Clause */
/* Locks that are used in every way there is, and callbacks in every way they are called. Run on
   liboomreclaim-debug.so; what it has to say of each is in meson.build. */
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"

static pthread_mutex_t b = PTHREAD_MUTEX_INITIALIZER;

void in_constructor(void);

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

/* It also waits for a callback that nobody else does. */
static atomic_bool was_called;

static size_t wait_a_soon(void)
{
	wait_a();
	atomic_store(&was_called, true);
	return 0;
}

static void let_background_call(void)
{
	void *most;

	/* Above the high watermark, 32 MiB; with what the block check has behind it below the
	   limit, 64. */
	most = malloc(36 << 20);
	CHECK(most != NULL);
	memset(most, 1, 36 << 20);
	for (int i = 0; i < 10000 && !atomic_load(&was_called); i++) {
		allocate();
		usleep(1000);
	}
	CHECK(atomic_load(&was_called));
	free(most);
}

static oomreclaim_handle register_in_background(void)
{
	oomreclaim_handle handle;

	in_callback = wait_a_soon;
	CHECK_EQ(oomreclaim_register("call", 0, OOMRECLAIM_CALLBACK_BACKGROUND, call, NULL,
	                             &handle),
	         0);
	let_background_call();
	return handle;
}

static void background(void)
{
	oomreclaim_handle handle = register_in_background();

	hold_a();
	CHECK_EQ(oomreclaim_unregister(handle), 0);
}

static size_t wait_if_background(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	if (!control->is_direct)
		wait_a_soon();
	return 0;
}

/* One for both, that waits where nobody waits for it. */
static void by_kind(void)
{
	CHECK_EQ(oomreclaim_register("call", 0, 0, wait_if_background, NULL, NULL), 0);
	oomreclaim_reclaim(1);
	let_background_call();
	oomreclaim_reclaim(1);
	hold_a();
}

static void background_unregister(void)
{
	oomreclaim_handle handle = register_in_background();

	pthread_mutex_lock(&a);
	CHECK_EQ(oomreclaim_unregister(handle), 0);
	pthread_mutex_unlock(&a);
}

/* Where one was that is no more, there is another. */
static void destroyed(void)
{
	union {
		pthread_mutex_t mutex;
		pthread_rwlock_t rwlock;
	} *both = malloc(sizeof *both);

	CHECK(both != NULL && pthread_rwlock_init(&both->rwlock, NULL) == 0);
	pthread_rwlock_wrlock(&both->rwlock);
	allocate();
	pthread_rwlock_unlock(&both->rwlock);
	CHECK_EQ(pthread_rwlock_destroy(&both->rwlock), 0);
	chosen = &both->mutex;
	*chosen = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	call_back(wait_chosen);
}

/* As is often done in a child, where whoever holds it is no more. */
static __attribute__((noinline)) void renew_a(void)
{
	/* Not by a jump: it would be one place for parent and child no more. */
	CHECK_EQ(pthread_mutex_init(&a, NULL), 0);
}

static void lock_before(void)
{
	pthread_mutex_lock(&a);
}

static void unlock_after(void)
{
	pthread_mutex_unlock(&a);
}

static void *call_back_elsewhere(void *arg)
{
	call_back(wait_a);
	return arg;
}

static void renewed(void)
{
	pthread_t thread;
	pid_t pid;

	renew_a();
	CHECK_EQ(pthread_atfork(lock_before, unlock_after, renew_a), 0);
	pid = fork();
	if (pid == 0) {
		/* It does not hold a. */
		allocate();
		CHECK_EQ(pthread_create(&thread, NULL, call_back_elsewhere, NULL), 0);
		pthread_join(thread, NULL);
		_exit(0);
	}
	CHECK_EQ(check_child(pid), 0);
}

/* A constructor, which has the loader's lock, waits for a, and who has a makes a report: that must
   not wait for the loader. */
static atomic_bool has_a, is_constructing;

void in_constructor(void)
{
	atomic_store(&is_constructing, true);
	hold_a();
}

static void *allocate_meanwhile(void *arg)
{
	pthread_mutex_lock(&a);
	atomic_store(&has_a, true);
	while (!atomic_load(&is_constructing))
		sched_yield();
	allocate();
	pthread_mutex_unlock(&a);
	return arg;
}

static void loader(void)
{
	const char *library = getenv("CONSTRUCTOR");
	pthread_t thread;

	CHECK(library != NULL);
	call_back(wait_a);
	CHECK_EQ(pthread_create(&thread, NULL, allocate_meanwhile, NULL), 0);
	while (!atomic_load(&has_a))
		sched_yield();
	CHECK(dlopen(library, RTLD_NOW) != NULL);
	pthread_join(thread, NULL);
}

static int calls[3];

static size_t count(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	__atomic_fetch_add((int *)arg, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void dry_run(void)
{
	oomreclaim_handle handles[3];

	for (int i = 0; i < 3; i++) {
		/* For both, for direct reclaim alone, for oomreclaimd alone. */
		CHECK_EQ(oomreclaim_register("count", 0, (unsigned)i, count, &calls[i],
		                             &handles[i]),
		         0);
		for (int j = 0; j < 10000 && __atomic_load_n(&calls[i], __ATOMIC_SEQ_CST) == 0; j++)
			usleep(1000);
	}
	/* Waits for those that are running. */
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(oomreclaim_unregister(handles[i]), 0);
		CHECK_EQ(calls[i], 1);
	}
}

/* What only oomreclaimd calls may wait for what others hold while they allocate. */
static void dry_run_background(void)
{
	oomreclaim_handle handle;

	hold_a();
	in_callback = wait_a_soon;
	CHECK_EQ(oomreclaim_register("call", 0, OOMRECLAIM_CALLBACK_BACKGROUND, call, NULL,
	                             &handle),
	         0);
	for (int i = 0; i < 10000 && !atomic_load(&was_called); i++)
		usleep(1000);
	CHECK(atomic_load(&was_called));
	hold_a();
	CHECK_EQ(oomreclaim_unregister(handle), 0);
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

/* Recursive, robust, shared, destroyed and used again, unlocked by another thread, held at fork():
   nothing to report, and nothing breaks. */
static void odd_ones(void)
{
	pthread_mutexattr_t attributes;
	pthread_mutex_t lock;
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
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"classes", classes},
		{"unregister", unregister},
		{"background", background},
		{"by-kind", by_kind},
		{"background-unregister", background_unregister},
		{"destroyed", destroyed},
		{"renewed", renewed},
		{"loader", loader},
		{"dry-run", dry_run},
		{"odd-ones", odd_ones},
		{"dry-run-background", dry_run_background},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
