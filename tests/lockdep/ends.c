/* SPDX-License-Identifier: BSD-2-Clause */
/* What is over: memory that locks were in, files, callbacks, programs. Run on
   liboomreclaim-debug.so; what it has to say of each is in meson.build. */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"

/* ---- Locks that are gone ---- */

static void hold_chosen(void)
{
	pthread_mutex_lock(chosen);
	allocate();
	pthread_mutex_unlock(chosen);
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

static size_t call_other(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	return 0;
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
static pthread_mutex_t another = PTHREAD_MUTEX_INITIALIZER;

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
	chosen = &another;
	hold_chosen();
	call_back(wait_chosen);
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
	for (int i = 0; i < 100000 && atomic_load(&calls) < count; i++)
		usleep(1000);
	CHECK_EQ(atomic_load(&calls), count);
}

static size_t count_room(const struct oomreclaim_control *control, void *arg)
{
	CHECK_EQ(control->reason, OOMRECLAIM_REASON_ROOM);
	CHECK_EQ(control->is_direct, false);
	return count_call(control, arg);
}

/* Each by itself, whatever others have in common with it. */
static void dry_run_each(void)
{
	const struct oomreclaim_shrinker shrinker = {.name = "count",
	                                             .count = count_call,
	                                             .scan = count_call,
	                                             .cost = 1};

	for (unsigned i = 0; i < 5; i++) {
		CHECK_EQ(oomreclaim_register("count", 0, 0, count_call, NULL, NULL), 0);
		wait_for_calls(i + 1);
	}
	/* count() and scan(). */
	CHECK_EQ(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, NULL), 0);
	wait_for_calls(7);
	CHECK_EQ(oomreclaim_register("room", 0, OOMRECLAIM_CALLBACK_ROOM, count_room, NULL, NULL),
	         0);
	wait_for_calls(8);
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

/* Who wants memory meanwhile waits, and does not try as often as it can: each time takes a
   millisecond. */
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
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
