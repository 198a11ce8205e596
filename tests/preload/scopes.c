/* SPDX-License-Identifier: BSD-2-Clause */
/* What each scope does, and that they nest. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "je.h"
#include "oomreclaim.h"

static struct pool pool;
static bool is_live;
static int calls;

static size_t release(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	if (!is_live)
		return 0;
	calls++;
	return space_release(control->bytes_wanted);
}

static void prepare(void)
{
	CHECK(oomreclaim_register("release", 0, 0, release, NULL, NULL) == 0);
	exhaust(&pool);
	is_live = true;
}

static void *alloc_in(unsigned scope, size_t bytes)
{
	unsigned old = oomreclaim_scope_save(scope);
	void *block;

	errno = ERRNO_UNTOUCHED;
	block = malloc(bytes);
	CHECK(errno == (block ? ERRNO_UNTOUCHED : ENOMEM));
	oomreclaim_scope_restore(old);
	return block;
}

static void noretry(void)
{
	prepare();
	CHECK(!alloc_in(OOMRECLAIM_SCOPE_NORETRY, 4096));
	CHECK_EQ(calls, 0);
	CHECK(alloc_in(0, 4096));
	CHECK(calls > 0);
}

/* NORETRY has the heap's own pages all the same, whichever arena keeps them. */
static void own_reclaim(void)
{
	enum { BLOCKS = 64 };
	void *blocks[BLOCKS];
	unsigned arena;
	int flags;

	CHECK(oomreclaim_register("release", 0, 0, release, NULL, NULL) == 0);
	JE_READ("arenas.create", &arena);
	flags = MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE;
	for (int i = 0; i < BLOCKS; i++)
		CHECK((blocks[i] = mallocx(256 * KIB, flags)));
	exhaust(&pool);
	is_live = true;
	CHECK(!alloc_in(OOMRECLAIM_SCOPE_NORETRY, MIB));
	for (int i = 0; i < BLOCKS; i++)
		dallocx(blocks[i], MALLOCX_TCACHE_NONE);
	CHECK(alloc_in(OOMRECLAIM_SCOPE_NORETRY, 8 * MIB));
	CHECK_EQ(calls, 0);
}

/* Run with policy:abort, as are the next. */
static void retry_mayfail(void)
{
	prepare();
	CHECK(alloc_in(OOMRECLAIM_SCOPE_RETRY_MAYFAIL, 4096));
	CHECK(calls > 0);
	space_release((size_t)-1);
	is_live = false;
	exhaust(&pool);
	CHECK(!alloc_in(OOMRECLAIM_SCOPE_RETRY_MAYFAIL, 4096));
}

static void noreclaim(void)
{
	prepare();
	CHECK(!alloc_in(OOMRECLAIM_SCOPE_NORECLAIM, 4096));
	CHECK(!alloc_in(OOMRECLAIM_SCOPE_NORECLAIM | OOMRECLAIM_SCOPE_NORETRY, 4096));
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NORECLAIM);
	CHECK(oomreclaim_reclaim(MIB) == 0);
	CHECK_EQ(calls, 0);
}

static void reserve(void)
{
	void *blocks[3];

	prepare();
	for (size_t i = 0; i < COUNT(blocks); i++)
		CHECK((blocks[i] = alloc_in(OOMRECLAIM_SCOPE_RESERVE, 256 * KIB)));
	CHECK_EQ(calls, 0);
	/* No room for this one: callbacks. */
	CHECK(alloc_in(OOMRECLAIM_SCOPE_RESERVE, 512 * KIB));
	CHECK(calls > 0);
	is_live = false;
	exhaust(&pool);
	for (size_t i = 0; i < COUNT(blocks); i++)
		free(blocks[i]);
	CHECK(!alloc_in(OOMRECLAIM_SCOPE_NORETRY, 256 * KIB));
	CHECK(alloc_in(OOMRECLAIM_SCOPE_NORETRY | OOMRECLAIM_SCOPE_RESERVE, 512 * KIB));
}

static sem_t may_free;
static pid_t main_tid;
static bool is_freed;

static void *free_later(void *arg)
{
	(void)arg;
	sem_wait(&may_free);
	check_asleep(&main_tid);
	__atomic_store_n(&is_freed, true, __ATOMIC_SEQ_CST);
	space_release(16 * MIB);
	return NULL;
}

static void nofail(void)
{
	pthread_t thread;

	CHECK(sem_init(&may_free, 0, 0) == 0);
	CHECK(pthread_create(&thread, NULL, free_later, NULL) == 0);
	exhaust(&pool);
	main_tid = gettid();
	sem_post(&may_free);
	CHECK(alloc_in(OOMRECLAIM_SCOPE_NOFAIL | OOMRECLAIM_SCOPE_NORETRY, 4 * MIB));
	CHECK(__atomic_load_n(&is_freed, __ATOMIC_SEQ_CST));
	pthread_join(thread, NULL);
}

/* The end of NOFAIL is a SIGABRT; this tells that it came when it should. */
static volatile sig_atomic_t served;

static void on_abort(int signal)
{
	(void)signal;
	_exit(served >= 8 ? 42 : 43);
}

/* Alone, nobody will ever free anything: the reserve, and then the end. */
static void nofail_alone(void)
{
	CHECK(signal(SIGABRT, on_abort) != SIG_ERR);
	exhaust(&pool);
	for (;; served++)
		CHECK(alloc_in(OOMRECLAIM_SCOPE_NOFAIL, 64 * KIB));
}

/* The library's own thread is nobody else. */
static void nofail_alone_but_for_ours(void)
{
	struct pool blocks = {0};
	struct stat tasks;

	for (int i = 0; i < 96; i++)
		CHECK(pool_add(&blocks, 256 * KIB));
	/* "." and "..", and one for each thread. */
	CHECK(stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink == 4);
	pool_clear(&blocks);
	nofail_alone();
}

static void nofail_impossible(void)
{
	alloc_in(OOMRECLAIM_SCOPE_NOFAIL, (size_t)1 << 60);
	CHECK(!"aborted");
}

/* Run with nofail_ms:100. Another thread could free something, but does not. */
static void nofail_timeout(void)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, check_sleep, NULL) == 0);
	CHECK(signal(SIGABRT, on_abort) != SIG_ERR);
	exhaust(&pool);
	for (;; served++)
		CHECK(alloc_in(OOMRECLAIM_SCOPE_NOFAIL, 64 * KIB));
}

static void *elsewhere(void *arg)
{
	(void)arg;
	CHECK(oomreclaim_scope_save(0) == 0);
	return NULL;
}

static void nesting(void)
{
	const unsigned noretry_flag = OOMRECLAIM_SCOPE_NORETRY,
		       nofail_flag = OOMRECLAIM_SCOPE_NOFAIL;
	pthread_t thread;

	errno = ERRNO_UNTOUCHED;
	CHECK(oomreclaim_scope_save(noretry_flag) == 0);
	CHECK(oomreclaim_scope_save(nofail_flag) == noretry_flag);
	CHECK(oomreclaim_scope_save(1u << 30) == (noretry_flag | nofail_flag));
	CHECK(oomreclaim_scope_save(0) == (noretry_flag | nofail_flag));
	CHECK(pthread_create(&thread, NULL, elsewhere, NULL) == 0);
	pthread_join(thread, NULL);
	oomreclaim_scope_restore(noretry_flag);
	CHECK(oomreclaim_scope_save(0) == noretry_flag);
	oomreclaim_scope_restore(0);
	CHECK(oomreclaim_scope_save(0) == 0);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
}

static size_t by_hand(const struct oomreclaim_control *control, void *arg)
{
	CHECK(control->reason == OOMRECLAIM_REASON_MANUAL);
	CHECK(control->size == 0 && control->alignment == 0 && control->bytes_wanted > 0);
	++*(int *)arg;
	return pool_evict(&pool, control->bytes_wanted);
}

static void manual(void)
{
	int first = 0, second = 0;

	for (int i = 0; i < 100; i++)
		CHECK(pool_add(&pool, 64 * KIB));
	CHECK(oomreclaim_register("first", 1, 0, by_hand, &first, NULL) == 0);
	CHECK(oomreclaim_register("second", 0, 0, by_hand, &second, NULL) == 0);
	errno = ERRNO_UNTOUCHED;
	CHECK(oomreclaim_reclaim(0) == 0 && first == 0);
	CHECK(oomreclaim_reclaim(MIB) == MIB);
	CHECK(first == 1 && second == 0 && pool.count == 84);
	CHECK(oomreclaim_reclaim((size_t)-1) == 84 * 64 * KIB);
	CHECK(first == 2 && second == 1 && pool.count == 0);
	CHECK(oomreclaim_reclaim(1) == 0);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"noretry", noretry},
		{"own-reclaim", own_reclaim},
		{"retry-mayfail", retry_mayfail},
		{"noreclaim", noreclaim},
		{"reserve", reserve},
		{"nofail", nofail},
		{"nofail-alone", nofail_alone},
		{"nofail-alone-but-for-ours", nofail_alone_but_for_ours},
		{"nofail-impossible", nofail_impossible},
		{"nofail-timeout", nofail_timeout},
		{"nesting", nesting},
		{"manual", manual},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
