/* SPDX-License-Identifier: BSD-2-Clause */
/* What is over: memory that locks were in, files, callbacks, programs; and where the checker itself comes to its
   limits. Run on liboomreclaim-debug.so; what it has to say of each is in meson.build. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"

/* ---- Locks that are gone ---- */

static pthread_mutex_t *chosen;

static size_t wait_chosen(void)
{
	pthread_mutex_lock(chosen);
	pthread_mutex_unlock(chosen);
	return 0;
}

static void hold_chosen(void)
{
	pthread_mutex_lock(chosen);
	allocate();
	pthread_mutex_unlock(chosen);
}

/* As a std::mutex: nobody initialises or destroys it. In a large block, in the middle, where the heap does not move
   it by a part of a page. */
static pthread_mutex_t *place_lock(char *memory, size_t bytes)
{
	static const pthread_mutex_t initial = PTHREAD_MUTEX_INITIALIZER;
	const uintptr_t page = 4096;
	uintptr_t at = (uintptr_t)memory;

	if (bytes > 2 * page)
		at = (at & ~(page - 1)) + (bytes / 2 & ~(page - 1));
	memcpy((void *)at, &initial, sizeof initial);
	return (pthread_mutex_t *)at;
}

static void freed(void)
{
	static const size_t sizes[] = {64, 3000, 300 * KIB};

	for (size_t i = 0; i < COUNT(sizes); i++) {
		char *memory = malloc(sizes[i]);
		const pthread_mutex_t *volatile before;

		CHECK(memory != NULL);
		before = chosen = place_lock(memory, sizes[i]);
		call_back(wait_chosen);
		free(memory);
		memory = malloc(sizes[i]);
		CHECK(memory != NULL);
		chosen = place_lock(memory, sizes[i]);
		CHECK(chosen == before);
		hold_chosen();
	}
}

/* What is cut off a block is free as well. */
static void shrunk(void)
{
	const size_t bytes = 2 * MIB, left = MIB, piece = 64 * KIB;
	char *memory = malloc(bytes), *other = NULL;
	const uintptr_t page = 4096;

	CHECK(memory != NULL);
	chosen = place_lock((char *)(((uintptr_t)memory & ~(page - 1)) + left + left / 2), 0);
	call_back(wait_chosen);
	CHECK(realloc(memory, left) == memory);
	/* What is where it was. */
	for (int i = 0; i < 1000; i++) {
		other = malloc(piece);
		CHECK(other != NULL);
		if (other <= (char *)chosen && other + piece > (char *)(chosen + 1))
			break;
		other = NULL;
	}
	CHECK(other != NULL);
	chosen = place_lock((char *)chosen, 0);
	hold_chosen();
}

static void closed(void)
{
	const char *library = getenv("CLOSED");
	void *file, *volatile before;

	CHECK(library != NULL);
	file = dlopen(library, RTLD_NOW);
	CHECK(file != NULL);
	chosen = before = dlsym(file, "closed_lock");
	CHECK(chosen != NULL);
	call_back(wait_chosen);
	CHECK_EQ(dlclose(file), 0);
	file = dlopen(library, RTLD_NOW);
	CHECK(file != NULL);
	chosen = dlsym(file, "closed_lock");
	CHECK(chosen == before);
	hold_chosen();
}

/* ---- Callbacks that are waited for ---- */

static size_t take_nothing(void)
{
	return 0;
}

static size_t call_other(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	return take_nothing();
}

/* Unregister waits for that one alone. */
static void unregister_other(void)
{
	oomreclaim_handle main_handle, other;

	in_callback = wait_a;
	CHECK_EQ(oomreclaim_register("call", 0, 0, call, NULL, &main_handle), 0);
	CHECK_EQ(oomreclaim_register("other", 0, 0, call_other, NULL, &other), 0);
	oomreclaim_reclaim(1);
	pthread_mutex_lock(&a);
	CHECK_EQ(oomreclaim_unregister(other), 0);
	pthread_mutex_unlock(&a);
}

static enum oomreclaim_policy decide(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)verdict;
	(void)arg;
	wait_a();
	return OOMRECLAIM_POLICY_RETURN;
}

static void call_policy(void)
{
	static struct pool pool;
	void *volatile memory;

	CHECK_EQ(oomreclaim_set_policy_callback(decide, NULL), 0);
	exhaust(&pool);
	memory = malloc(20 * KIB);
	CHECK(memory == NULL);
	pool_clear(&pool);
	space_release(64 * MIB);
}

static void policy(void)
{
	call_policy();
	hold_a();
}

static void policy_replaced(void)
{
	call_policy();
	pthread_mutex_lock(&a);
	CHECK_EQ(oomreclaim_set_policy_callback(NULL, NULL), 0);
	pthread_mutex_unlock(&a);
}

/* What is not registered nobody waits for. */
static void unregister_none(void)
{
	call_policy();
	pthread_mutex_lock(&a);
	CHECK_EQ(oomreclaim_unregister(0), EINVAL);
	CHECK_EQ(oomreclaim_unregister(1000), EINVAL);
	pthread_mutex_unlock(&a);
}

static oomreclaim_handle once_handle;

static size_t unregister_itself(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	wait_a();
	CHECK_EQ(oomreclaim_unregister(once_handle), 0);
	return 0;
}

/* More than there are classes, one after the other: none is left of them. */
static void many_callbacks(void)
{
	for (int i = 0; i < 6000; i++) {
		CHECK_EQ(oomreclaim_register("once", 0, 0, unregister_itself, NULL, &once_handle),
		         0);
		oomreclaim_reclaim(1);
	}
	hold_a();
}

/* ---- dry_run ---- */

static atomic_uint calls;

static size_t count_call(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	atomic_fetch_add(&calls, 1);
	return 0;
}

static void wait_for_calls(unsigned count)
{
	for (int i = 0; i < 10000 && atomic_load(&calls) < count; i++)
		usleep(1000);
	CHECK_EQ(atomic_load(&calls), count);
}

/* Each by itself, whatever others have in common with it. */
static void dry_run_each(void)
{
	for (unsigned i = 0; i < 5; i++) {
		CHECK_EQ(oomreclaim_register("count", 0, 0, count_call, NULL, NULL), 0);
		wait_for_calls(i + 1);
	}
}

static oomreclaim_handle again_handle;

static size_t register_again(const struct oomreclaim_control *control, void *arg)
{
	CHECK_EQ(oomreclaim_unregister(again_handle), 0);
	CHECK_EQ(oomreclaim_register("again", 0, 0, register_again, arg, &again_handle), 0);
	return count_call(control, arg);
}

/* By a callback, it would go on for ever. */
static void dry_run_again(void)
{
	CHECK_EQ(oomreclaim_register("again", 0, 0, register_again, NULL, &again_handle), 0);
	wait_for_calls(1);
	usleep(100000);
	wait_for_calls(1);
}

static size_t wait_a_later(void)
{
	usleep(100000);
	return wait_a();
}

/* The program ends before it is over. */
static void dry_run_exit(void)
{
	hold_a();
	in_callback = wait_a_later;
	CHECK_EQ(oomreclaim_register("call", 0, 0, call, NULL, NULL), 0);
}

static atomic_bool may_leave;

static size_t stay(void)
{
	atomic_fetch_add(&calls, 1);
	while (!atomic_load(&may_leave))
		usleep(1000);
	return 0;
}

/* Who wants memory meanwhile waits, and does not try as often as it can: each time takes a millisecond. */
static void dry_run_busy(void)
{
	const unsigned wait_ms = 200; /* in meson.build */
	struct oomreclaim_reclaim_stats stats;
	oomreclaim_handle handle;
	void *volatile memory;

	in_callback = stay;
	CHECK_EQ(oomreclaim_register("call", 0, 0, call, NULL, &handle), 0);
	wait_for_calls(1);
	memory = malloc(63 * MIB);
	CHECK(memory == NULL);
	CHECK_EQ(oomreclaim_reclaim_stats(&stats, sizeof stats), 0);
	CHECK(stats.direct_rounds > 1 && stats.direct_rounds <= wait_ms + 2);
	atomic_store(&may_leave, true);
	CHECK_EQ(oomreclaim_unregister(handle), 0);
}

/* ---- The checker's own limits ---- */

void __register_frame(void *begin);

/* The unwinder takes a lock of its own and allocates with it held; a report's stack takes that lock too. */
static void unwinder(void)
{
	/* A CIE with nothing but a return address, a description of no function, and the end. */
	static unsigned char frames[64];
	const unsigned char cie[] = {12, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0x78, 16, 0, 0, 0};
	const uint32_t fde[] = {20, 20, 0x1000, 0, 16, 0};
	void *stack[16];

	memcpy(frames, cie, sizeof cie);
	memcpy(frames + sizeof cie, fde, sizeof fde);
	__register_frame(frames);
	CHECK(backtrace(stack, COUNT(stack)) > 0);
}

static void *hold_in_thread(void *arg)
{
	hold_a();
	return arg;
}

static void small_stack(void)
{
	pthread_attr_t attributes;
	pthread_t thread;

	call_back(wait_a);
	CHECK_EQ(pthread_attr_init(&attributes), 0);
	CHECK_EQ(pthread_attr_setstacksize(&attributes, (size_t)sysconf(_SC_THREAD_STACK_MIN)), 0);
	CHECK_EQ(pthread_create(&thread, &attributes, hold_in_thread, NULL), 0);
	pthread_join(thread, NULL);
}

static void many_held(void)
{
	pthread_mutex_t *many = calloc(100, sizeof *many);

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
	const int count = 6000;
	pthread_mutex_t *many = calloc((size_t)count, sizeof *many);

	CHECK(many != NULL);
	for (int i = 0; i < count; i++) {
		CHECK_EQ(pthread_mutex_lock(&many[i]), 0);
		allocate();
		CHECK_EQ(pthread_mutex_unlock(&many[i]), 0);
	}
}

/* Those that never meet anything cost nothing: there is room for the one that matters. */
static void many_apart(void)
{
	const int count = 6000;
	pthread_mutex_t *many = calloc((size_t)count, sizeof *many);

	CHECK(many != NULL);
	for (int i = 0; i < count; i++) {
		CHECK_EQ(pthread_mutex_lock(&many[i]), 0);
		CHECK_EQ(pthread_mutex_unlock(&many[i]), 0);
	}
	hold_a();
	call_back(wait_a);
}

/* More than there are records of locks, but not at a time. */
static void many_freed(void)
{
	const size_t bytes = 16 * MIB, at_once = bytes / 64;

	for (int i = 0; i < 4; i++) {
		/* Elsewhere each time. */
		char *memory = malloc(bytes + (size_t)i * MIB);
		pthread_mutex_t *lock;

		CHECK(memory != NULL);
		for (size_t j = 0; j < at_once / 2; j++) {
			lock = place_lock(memory + (j * 128 + (size_t)i * 32) % (bytes - 64), 0);
			pthread_mutex_lock(lock);
			pthread_mutex_unlock(lock);
		}
		free(memory);
	}
	hold_a();
	call_back(wait_a);
}

/* More orders than there is room for, of locks that are freed after that. */
static void many_orders(void)
{
	enum { LOCKS = 220 };
	static pthread_mutex_t *locks[LOCKS];

	for (int i = 0; i < LOCKS; i++) {
		char *memory = malloc(64);

		CHECK(memory != NULL);
		locks[i] = place_lock(memory, 0);
	}
	for (int i = 0; i < LOCKS; i++)
		for (int j = i + 1; j < LOCKS; j++) {
			pthread_mutex_lock(locks[i]);
			pthread_mutex_lock(locks[j]);
			pthread_mutex_unlock(locks[j]);
			pthread_mutex_unlock(locks[i]);
		}
	/* These find no room. */
	hold_a();
	for (int i = 0; i < LOCKS; i++)
		free(locks[i]);
	hold_a();
	call_back(wait_a);
}

/* Refused without anybody being asked. */
static void impossible(void)
{
	volatile size_t bytes = SIZE_MAX;
	void *volatile memory;

	call_back(wait_a);
	pthread_mutex_lock(&a);
	memory = malloc(bytes);
	CHECK(memory == NULL && errno == ENOMEM);
	pthread_mutex_unlock(&a);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"freed", freed},
		{"shrunk", shrunk},
		{"closed", closed},
		{"unregister-other", unregister_other},
		{"policy", policy},
		{"policy-replaced", policy_replaced},
		{"unregister-none", unregister_none},
		{"many-callbacks", many_callbacks},
		{"dry-run-each", dry_run_each},
		{"dry-run-again", dry_run_again},
		{"dry-run-exit", dry_run_exit},
		{"dry-run-busy", dry_run_busy},
		{"unwinder", unwinder},
		{"small-stack", small_stack},
		{"many-held", many_held},
		{"too-many", too_many},
		{"many-apart", many_apart},
		{"many-freed", many_freed},
		{"many-orders", many_orders},
		{"impossible", impossible},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
