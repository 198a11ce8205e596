/* SPDX-License-Identifier: BSD-2-Clause */
/* Several threads at the end of memory: one runs the callbacks, the others wait, and never hang. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim.h"

enum { THREADS = 8, STACK_BYTES = 128 << 10 };

static struct pool pool;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t is_inside, may_leave, may_fail;
static bool is_live;
static int calls;

static pthread_t start(void *(*function)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	CHECK(pthread_attr_init(&attr) == 0);
	CHECK(pthread_attr_setstacksize(&attr, STACK_BYTES) == 0);
	CHECK(pthread_create(&thread, &attr, function, arg) == 0);
	pthread_attr_destroy(&attr);
	return thread;
}

static void *join(pthread_t thread)
{
	void *result;

	CHECK(pthread_join(thread, &result) == 0);
	return result;
}

static void prepare(oomreclaim_callback *function)
{
	CHECK(sem_init(&is_inside, 0, 0) == 0);
	CHECK(sem_init(&may_leave, 0, 0) == 0);
	CHECK(sem_init(&may_fail, 0, 0) == 0);
	CHECK(oomreclaim_register("slow", 0, 0, function, NULL, NULL) == 0);
}

/* ---- Eight at once ---- */

static int inside;

static size_t evict_alone(const struct oomreclaim_control *control, void *arg)
{
	size_t freed;

	(void)arg;
	CHECK(__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST) == 1);
	calls++;
	sched_yield();
	/* Nobody allocates with this lock held. */
	pthread_mutex_lock(&lock);
	freed = pool_evict(&pool, control->bytes_wanted);
	pthread_mutex_unlock(&lock);
	CHECK(__atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST) == 0);
	return freed;
}

static void *allocate_much(void *arg)
{
	struct pool own = {0};

	sem_wait(&may_fail);
	for (size_t i = 0; i < *(size_t *)arg; i++) {
		errno = ERRNO_UNTOUCHED;
		CHECK(pool_add(&own, 64 * KIB));
		CHECK_EQ(errno, ERRNO_UNTOUCHED);
		pthread_mutex_lock(&lock);
		pool_append(&pool, &own);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

/* Short lives meanwhile: threads end while others wait. */
static void *live_shortly(void *arg)
{
	(void)arg;
	free(malloc(1000));
	return NULL;
}

static void crowd(void)
{
	pthread_t threads[THREADS];
	size_t each = pool_fill(&pool, 64 * KIB) / 2;

	pool_clear(&pool);
	prepare(evict_alone);
	for (int i = 0; i < THREADS; i++)
		threads[i] = start(allocate_much, &each);
	for (int i = 0; i < THREADS; i++)
		sem_post(&may_fail);
	for (int i = 0; i < 100; i++) {
		pthread_attr_t attr;
		pthread_t brief;

		pthread_attr_init(&attr);
		pthread_attr_setstacksize(&attr, STACK_BYTES);
		/* There may be no room for its stack. */
		if (pthread_create(&brief, &attr, live_shortly, NULL) == 0)
			join(brief);
	}
	for (int i = 0; i < THREADS; i++)
		join(threads[i]);
	CHECK(calls > 0);
}

/* ---- One in the callback, one waiting ---- */

static size_t block(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	if (!is_live)
		return 0;
	calls++;
	sem_post(&is_inside);
	if (calls == 1)
		sem_wait(&may_leave);
	return space_release(8 * MIB);
}

static void *fail_when_told(void *arg)
{
	(void)arg;
	sem_wait(&may_fail);
	return malloc(MIB);
}

static pid_t waiter;
static bool has_returned;
static void *waiter_got;

/* Sleeps in malloc(), which is no cancellation point; the next line is one. */
static void *wait_and_be_cancelled(void *arg)
{
	int state;

	(void)arg;
	sem_wait(&may_fail);
	__atomic_store_n(&waiter, gettid(), __ATOMIC_SEQ_CST);
	waiter_got = malloc(64 * KIB);
	__atomic_store_n(&has_returned, true, __ATOMIC_SEQ_CST);
	CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state) == 0);
	CHECK(state == PTHREAD_CANCEL_ENABLE);
	pthread_testcancel();
	CHECK(!"cancelled");
	return NULL;
}

/* The first cancellation loads a library: not when there is no memory for it. */
static void cancel_one(void)
{
	pthread_t thread = start(fail_when_told, NULL);

	CHECK(pthread_cancel(thread) == 0);
	CHECK(join(thread) == PTHREAD_CANCELED);
}

static void cancel_waiter(void)
{
	pthread_t first, second;

	prepare(block);
	cancel_one();
	first = start(fail_when_told, NULL);
	second = start(wait_and_be_cancelled, NULL);
	exhaust(&pool);
	is_live = true;
	sem_post(&may_fail);
	sem_wait(&is_inside);
	sem_post(&may_fail);
	check_asleep(&waiter);
	CHECK(pthread_cancel(second) == 0);
	usleep(20000);
	CHECK(!__atomic_load_n(&has_returned, __ATOMIC_SEQ_CST));
	sem_post(&may_leave);
	CHECK(join(second) == PTHREAD_CANCELED);
	CHECK(has_returned && waiter_got);
	CHECK(join(first));
	/* The round has ended, and the next one works. */
	is_live = false;
	exhaust(&pool);
	is_live = true;
	CHECK(malloc(MIB));
}

/* The callback itself passes cancellation points: it is finished first. */
static size_t sleep_and_release(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	if (!is_live)
		return 0;
	calls++;
	sem_post(&is_inside);
	if (calls == 1)
		sem_wait(&may_leave);
	usleep(1000);
	pthread_testcancel();
	__atomic_store_n(&has_returned, true, __ATOMIC_SEQ_CST);
	return space_release(control->bytes_wanted);
}

static void cancel_caller(void)
{
	pthread_t thread;

	prepare(sleep_and_release);
	cancel_one();
	thread = start(wait_and_be_cancelled, NULL);
	exhaust(&pool);
	is_live = true;
	sem_post(&may_fail);
	sem_wait(&is_inside);
	CHECK(pthread_cancel(thread) == 0);
	sem_post(&may_leave);
	CHECK(join(thread) == PTHREAD_CANCELED);
	CHECK(has_returned && waiter_got);
	is_live = false;
	exhaust(&pool);
	is_live = true;
	CHECK(malloc(MIB));
}

/* A thread that fails when it is told to, with this callback. There is no memory left then. */
static pthread_t start_failing(oomreclaim_callback *callback)
{
	pthread_t thread;

	prepare(callback);
	thread = start(fail_when_told, NULL);
	exhaust(&pool);
	is_live = true;
	return thread;
}

/* Run with wait_ms:50, and one line expected on stderr. */
static void timeout(void)
{
	pthread_t thread = start_failing(block);

	sem_post(&may_fail);
	sem_wait(&is_inside);
	errno = 0;
	CHECK(!malloc(4096));
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(calls, 1);
	sem_post(&may_leave);
	CHECK(join(thread));
	/* What was given up is not held against the next. */
	CHECK(malloc(4096));
}

/* The callback waits for a lock whose holder allocates: against the rules, but no hang. */
static size_t lock_and_release(const struct oomreclaim_control *control, void *arg)
{
	size_t released;

	(void)arg;
	if (!is_live)
		return 0;
	sem_post(&is_inside);
	pthread_mutex_lock(&lock);
	released = space_release(control->bytes_wanted);
	pthread_mutex_unlock(&lock);
	return released;
}

static void deadlock(void)
{
	pthread_t thread = start_failing(lock_and_release);

	pthread_mutex_lock(&lock);
	sem_post(&may_fail);
	sem_wait(&is_inside);
	CHECK(!malloc(4096));
	pthread_mutex_unlock(&lock);
	CHECK(join(thread));
}

/* A lock that a callback takes may be held under the scope NORECLAIM. */
static void noreclaim(void)
{
	pthread_t thread = start_failing(lock_and_release);
	unsigned old;

	pthread_mutex_lock(&lock);
	sem_post(&may_fail);
	sem_wait(&is_inside);
	old = oomreclaim_scope_save(OOMRECLAIM_SCOPE_NORECLAIM);
	CHECK(!malloc(4096));
	oomreclaim_scope_restore(old);
	pthread_mutex_unlock(&lock);
	CHECK(join(thread));
}

/* ---- A thread that begins when there is nothing left ---- */

static void *begin_late(void *arg)
{
	void *block_got;

	(void)arg;
	errno = 0;
	CHECK(!malloc(MIB));
	CHECK_EQ(errno, ENOMEM);
	CHECK(space_release(16 * MIB) >= 16 * MIB);
	for (size_t bytes = 1; bytes <= MIB; bytes *= 2) {
		CHECK((block_got = malloc(bytes)));
		memset(block_got, 1, bytes);
		free(block_got);
	}
	return NULL;
}

static void late(void)
{
	static char stack[256 << 10] __attribute__((aligned(4096)));
	pthread_attr_t attr;
	pthread_t thread;
	unsigned old;

	CHECK(pthread_attr_init(&attr) == 0);
	CHECK(pthread_attr_setstack(&attr, stack, sizeof stack) == 0);
	exhaust(&pool);
	/* The C library's own record of the thread has to come from somewhere. */
	old = oomreclaim_scope_save(OOMRECLAIM_SCOPE_RESERVE);
	CHECK(pthread_create(&thread, &attr, begin_late, NULL) == 0);
	oomreclaim_scope_restore(old);
	join(thread);
}

/* ---- MALLOC_CONF=percpu_arena:percpu: a thread that comes to another processor ---- */

static void move_to(size_t processor)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(processor, &one);
	CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
}

/* The processors that the heap is told of while the process stays on the first: the kernel would
   move it, and the next one's arena would be there before memory is short. */
#define TOLD "PROCESSORS"
#define TOLD_MAX 64

__attribute__((visibility("default"))) int sched_getaffinity(pid_t pid, size_t bytes,
                                                             cpu_set_t *set)
{
	const char *told = getenv(TOLD);
	unsigned long long mask = told ? strtoull(told, NULL, 16) : 0;

	CPU_ZERO_S(bytes, set);
	if (!told)
		return syscall(SYS_sched_getaffinity, pid, bytes, set) < 0 ? -1 : 0;
	for (size_t i = 0; i < TOLD_MAX; i++)
		if (mask >> i & 1)
			CPU_SET_S(i, bytes, set);
	return 0;
}

/* The process starts on the first of them: that one's arena is there in any case. */
static void start_on_first(const cpu_set_t *all)
{
	unsigned long long mask = 0;
	char told[32];

	if (getenv(TOLD))
		return;
	for (size_t i = 0; i < TOLD_MAX; i++)
		mask |= (unsigned long long)(CPU_ISSET(i, all) != 0) << i;
	snprintf(told, sizeof told, "%llx", mask);
	move_to(0);
	CHECK(setenv(TOLD, told, 1) == 0);
	execl("/proc/self/exe", "threads", "processors", (char *)NULL);
	CHECK(false);
}

/* An arena looks where its thread is when that is not the one that it had last. */
static void *fail_there(void *arg)
{
	sem_wait(&may_fail);
	CHECK(!malloc(MIB));
	return arg;
}

static void processors(void)
{
	pthread_t other;
	cpu_set_t all;

	CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
	/* Where there is no such processor, and no second one, nothing can go wrong. */
	if (!CPU_ISSET(0, &all))
		return;
	start_on_first(&all);
	CHECK(sem_init(&may_fail, 0, 0) == 0);
	other = start(fail_there, NULL);
	exhaust(&pool);
	sem_post(&may_fail);
	join(other);
	for (size_t i = 1; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &all))
			continue;
		move_to(i);
		CHECK(!malloc(MIB));
	}
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"crowd", crowd},         {"cancel-waiter", cancel_waiter},
		{"late", late},           {"cancel-caller", cancel_caller},
		{"timeout", timeout},     {"deadlock", deadlock},
		{"noreclaim", noreclaim}, {"processors", processors},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
