/* SPDX-License-Identifier: BSD-2-Clause */
/* Orders of locks, right and wrong. Run on liboomreclaim-debug.so; what it has to say of each is in
   meson.build. */
#include <threads.h>
#include <time.h>

#include "calls.h"

static pthread_mutex_t b = PTHREAD_MUTEX_INITIALIZER, c = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t readers = PTHREAD_RWLOCK_INITIALIZER;
static pthread_rwlock_t writers_first = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static pthread_spinlock_t spin;
static mtx_t standard;

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
	/* The callback waits for c; who has c may wait for b, and who has b for a; who has a
	   allocates. */
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

/* The callback reads first, which whoever reads and allocates does not mind. */
static size_t wait_read_and_write(void)
{
	return wait_read() + wait_write();
}

static void writer_waits_too(void)
{
	call_back(wait_read_and_write);
	hold_read();
}

static size_t wait_read_behind_writers(void)
{
	pthread_rwlock_rdlock(&writers_first);
	pthread_rwlock_unlock(&writers_first);
	return 0;
}

/* A writer that waits for the first reader keeps the second one out. */
static void reader_behind_writer(void)
{
	pthread_rwlock_rdlock(&writers_first);
	allocate();
	pthread_rwlock_unlock(&writers_first);
	call_back(wait_read_behind_writers);
}

static void initialised_for_writers(void)
{
	pthread_rwlockattr_t attributes;

	CHECK_EQ(pthread_rwlockattr_init(&attributes), 0);
	CHECK_EQ(pthread_rwlockattr_setkind_np(&attributes,
	                                       PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP),
	         0);
	CHECK_EQ(pthread_rwlock_init(&writers_first, &attributes), 0);
	reader_behind_writer();
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
		{"writer-waits-too", writer_waits_too},
		{"reader-behind-writer", reader_behind_writer},
		{"initialised-for-writers", initialised_for_writers},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
