/* SPDX-License-Identifier: BSD-2-Clause */
/* What else waits for a lock than who takes it for the first time, and how a report names it. Run
   on liboomreclaim-debug.so; what it has to say of each is in meson.build. */
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"

static pthread_mutex_t b = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static const struct timespec past = {0, 0};

void in_constructor(void);

/* ---- A callback in the thread that has the lock ---- */

static size_t wait_recursive(void)
{
	pthread_mutex_lock(&recursive);
	pthread_mutex_lock(&recursive);
	pthread_mutex_unlock(&recursive);
	pthread_mutex_unlock(&recursive);
	return 0;
}

/* Of the very thread that waits for it: with any other kind of mutex it would not come back. */
static void own(void)
{
	CHECK_EQ(pthread_mutex_lock(&recursive), 0);
	call_back(wait_recursive);
	CHECK_EQ(pthread_mutex_unlock(&recursive), 0);
}

/* The second half is seen first by a thread that has the lock as well. */
static void own_joined(void)
{
	CHECK_EQ(pthread_mutex_lock(&recursive), 0);
	allocate();
	call_back(wait_recursive);
	CHECK_EQ(pthread_mutex_unlock(&recursive), 0);
}

/* Twice what the callback itself has. */
static void own_recursive(void)
{
	call_back(wait_recursive);
	call_back(wait_recursive);
}

static void *unlock_a(void *arg)
{
	pthread_mutex_unlock(&a);
	return arg;
}

/* The callback's thread had it once, and waits for it now. */
static size_t wait_a_again(void)
{
	pthread_t thread;

	CHECK_EQ(pthread_mutex_trylock(&a), 0);
	CHECK_EQ(pthread_create(&thread, NULL, unlock_a, NULL), 0);
	pthread_join(thread, NULL);
	return wait_a();
}

static void after_release_elsewhere(void)
{
	hold_a();
	call_back(wait_a_again);
}

/* ---- Condition variables ---- */

static size_t await(void)
{
	CHECK_EQ(pthread_mutex_trylock(&a), 0);
	CHECK_EQ(pthread_cond_timedwait(&condition, &a, &past), ETIMEDOUT);
	pthread_mutex_unlock(&a);
	return 0;
}

static size_t await_clock(void)
{
	CHECK_EQ(pthread_mutex_trylock(&a), 0);
	CHECK_EQ(pthread_cond_clockwait(&condition, &a, CLOCK_MONOTONIC, &past), ETIMEDOUT);
	pthread_mutex_unlock(&a);
	return 0;
}

static void condition_(void)
{
	hold_a();
	call_back(await);
}

static void condition_clock(void)
{
	hold_a();
	call_back(await_clock);
}

static mtx_t standard;
static cnd_t standard_condition;

static size_t await_standard(void)
{
	CHECK_EQ(mtx_trylock(&standard), thrd_success);
	CHECK_EQ(cnd_timedwait(&standard_condition, &standard, &past), thrd_timedout);
	mtx_unlock(&standard);
	return 0;
}

static void condition_standard(void)
{
	CHECK_EQ(mtx_init(&standard, mtx_plain), thrd_success);
	CHECK_EQ(cnd_init(&standard_condition), thrd_success);
	mtx_lock(&standard);
	allocate();
	mtx_unlock(&standard);
	call_back(await_standard);
}

static size_t wait_b(void)
{
	pthread_mutex_lock(&b);
	pthread_mutex_unlock(&b);
	return 0;
}

/* Whoever has b waits for a, though a was taken before b. */
static void condition_order(void)
{
	hold_a();
	pthread_mutex_lock(&a);
	pthread_mutex_lock(&b);
	CHECK_EQ(pthread_cond_timedwait(&condition, &a, &past), ETIMEDOUT);
	pthread_mutex_unlock(&b);
	pthread_mutex_unlock(&a);
	call_back(wait_b);
}

static atomic_bool is_told;

static void *tell(void *arg)
{
	pthread_mutex_lock(&a);
	atomic_store(&is_told, true);
	pthread_cond_signal(&condition);
	pthread_mutex_unlock(&a);
	return arg;
}

/* Whoever comes back from the wait has the lock. */
static void wait_and_allocate(void)
{
	unsigned old;
	pthread_t thread;

	pthread_mutex_lock(&a);
	old = oomreclaim_scope_save(OOMRECLAIM_SCOPE_NORECLAIM);
	CHECK_EQ(pthread_create(&thread, NULL, tell, NULL), 0);
	oomreclaim_scope_restore(old);
	while (!atomic_load(&is_told))
		CHECK_EQ(pthread_cond_wait(&condition, &a), 0);
	allocate();
	pthread_mutex_unlock(&a);
	pthread_join(thread, NULL);
}

static void condition_held(void)
{
	wait_and_allocate();
	call_back(wait_a);
}

static size_t await_b(void)
{
	CHECK_EQ(pthread_mutex_trylock(&b), 0);
	CHECK_EQ(pthread_cond_timedwait(&condition, &b, &past), ETIMEDOUT);
	pthread_mutex_unlock(&b);
	return 0;
}

static void condition_silent(void)
{
	wait_and_allocate();
	call_back(await_b);
	allocate();
}

/* ---- The loader's lock ---- */

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static atomic_bool has_lock, is_constructing;

void in_constructor(void)
{
	atomic_store(&is_constructing, true);
	CHECK_EQ(pthread_rwlock_rdlock(&rwlock), 0);
	CHECK_EQ(pthread_rwlock_unlock(&rwlock), 0);
}

static void *unlock_meanwhile(void *arg)
{
	CHECK_EQ(pthread_rwlock_wrlock(&rwlock), 0);
	atomic_store(&has_lock, true);
	while (!atomic_load(&is_constructing))
		sched_yield();
	CHECK_EQ(pthread_rwlock_unlock(&rwlock), 0);
	return arg;
}

/* The first unlock in this program, and the loader's lock is somebody's who waits for it. */
static void first_use(void)
{
	const char *library = getenv("CONSTRUCTOR");
	pthread_t thread;

	CHECK(library != NULL);
	alarm(240);
	CHECK_EQ(pthread_create(&thread, NULL, unlock_meanwhile, NULL), 0);
	while (!atomic_load(&has_lock))
		sched_yield();
	CHECK(dlopen(library, RTLD_NOW) != NULL);
	pthread_join(thread, NULL);
	hold_a();
	call_back(wait_a);
}

/* ---- Names ---- */

pthread_mutex_t named_lock = PTHREAD_MUTEX_INITIALIZER;
size_t named_waiter(void);
void named_holder(void);

__attribute__((noinline)) size_t named_waiter(void)
{
	pthread_mutex_lock(&named_lock);
	pthread_mutex_unlock(&named_lock);
	return 0;
}

__attribute__((noinline)) void named_holder(void)
{
	pthread_mutex_lock(&named_lock);
	allocate();
	pthread_mutex_unlock(&named_lock);
}

static void names(void)
{
	named_holder();
	call_back(named_waiter);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"own", own},
		{"own-joined", own_joined},
		{"own-recursive", own_recursive},
		{"after-release-elsewhere", after_release_elsewhere},
		{"condition", condition_},
		{"condition-clock", condition_clock},
		{"condition-standard", condition_standard},
		{"condition-order", condition_order},
		{"condition-held", condition_held},
		{"condition-silent", condition_silent},
		{"first-use", first_use},
		{"names", names},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
