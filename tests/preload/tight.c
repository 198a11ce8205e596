/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every rung of the ladder, and every end, on a thread in a tight place:
 *
 *     preload_tight stack CASE            with PTHREAD_STACK_MIN
 *     preload_tight cancel CASE           with a cancellation pending
 *     preload_tight clock CASE            where clock.c is preloaded
 *     preload_tight calls CASE NAME...    where any other system call than these is told, status 3
 *     preload_tight refused CASE NAME...  where any other fails with EPERM
 *
 * What fails fails by an injected fault. Status 0 where the case came back.
 */
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "check.h"
#include "filter.h"
#include "je.h"
#include "oomreclaim.h"

/* Not to be had without a mapping. */
#define BIG (24 * MIB)

__attribute__((weak)) extern void *new_nothrow(size_t bytes,
                                               const void *tag) __asm__("_ZnwmRKSt9nothrow_t");

/* ---- The cases ---- */

struct tight_case {
	const char *name;
	/* Before the place gets tight, on the main thread. */
	void (*prepare)(void);
	void (*run)(void);
};

/* From here on nothing can be mapped by the calling thread. */
static void fail_from_here(void)
{
	const struct oomreclaim_fault all = {.probability = 100,
	                                     .interval = 1,
	                                     .times = -1,
	                                     .task_filter = true};

	CHECK_EQ(oomreclaim_fault_set(&all, sizeof all), 0);
	oomreclaim_fault_thread(true);
}

static void expect_refused(const void *memory)
{
	CHECK(!memory);
	CHECK_EQ(errno, ENOMEM);
}

static void run_malloc(void)
{
	fail_from_here();
	expect_refused(malloc(BIG));
}

/* Without a word to the library, so that it is any malloc's: under a limit. */
static void run_exhaust(void)
{
	while (malloc(MIB))
		;
	CHECK_EQ(errno, ENOMEM);
}

static void run_forms(void)
{
	void *memory;

	fail_from_here();
	expect_refused(calloc(3, BIG));
	expect_refused(aligned_alloc(64 * KIB, BIG));
	expect_refused(memalign(4096, BIG));
	expect_refused(mallocx(BIG, MALLOCX_ZERO));
	expect_refused(realloc(NULL, BIG));
	CHECK_EQ(posix_memalign(&memory, 4096, BIG), ENOMEM);
}

static void run_new(void)
{
	fail_from_here();
	CHECK(!new_nothrow(BIG, "tag"));
}

static void *volatile kept;

static size_t give_up(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	CHECK(control->struct_size >= sizeof *control);
	free(kept);
	kept = NULL;
	return 0;
}

static size_t lie(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	return control->bytes_wanted;
}

static void prepare_callbacks(void)
{
	kept = malloc(3 * MIB);
	CHECK(kept);
	CHECK_EQ(oomreclaim_register("gives up", 2, 0, give_up, NULL, NULL), 0);
	CHECK_EQ(oomreclaim_register("lies", 1, 0, lie, NULL, NULL), 0);
}

static size_t count_much(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	return 3 * MIB;
}

/* The first has one block, the second nothing of what it counts. */
static void prepare_shrinkers(void)
{
	struct oomreclaim_shrinker shrinker = {.name = "gives up",
	                                       .count = count_much,
	                                       .scan = give_up,
	                                       .cost = 1};

	kept = malloc(3 * MIB);
	CHECK(kept);
	CHECK_EQ(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, NULL), 0);
	shrinker.scan = lie;
	CHECK_EQ(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, NULL), 0);
}

static void prepare_purgeable(void)
{
	for (int i = 0; i < 3; i++)
		CHECK_EQ(oomreclaim_purgeable_unpin(oomreclaim_purgeable_alloc(MIB, 1)), 0);
}

/* One that gives nothing, so that it comes to an end. */
static void prepare_callback(void)
{
	CHECK_EQ(oomreclaim_register("gives up", 2, 0, give_up, NULL, NULL), 0);
}

/* Without a system call, and no cancellation point. */
static void spin(int ms)
{
	uint64_t end_ns = check_now_ns() + (uint64_t)ms * 1000000;

	while (check_now_ns() < end_ns)
		;
}

/* Mappings that are made. limit:auto is read for some of them, no more often than every 5 ms. */
static void run_grow(void)
{
	for (int i = 0; i < 40; i++) {
		char *memory;

		if (i % 8 == 0)
			spin(6);
		memory = malloc(MIB);
		CHECK(memory);
		memory[0] = 1;
	}
	run_malloc();
}

static atomic_bool is_pressed;

static size_t note_pressure(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	if (control->reason == OOMRECLAIM_REASON_PRESSURE)
		is_pressed = true;
	return 0;
}

/* Not before the filter: with it the threads of the library begin. They have a second, where what
   they need is refused. */
static void run_pressed(void)
{
	CHECK_EQ(oomreclaim_register("pressed", 1, 0, note_pressure, NULL, NULL), 0);
	for (int i = 0; i < 100 && !is_pressed; i++) {
		free(malloc(MIB));
		spin(10);
		sched_yield();
	}
	run_malloc();
}

/* The page of counters goes with it; and what comes back to the program is another thread's. */
static void close_all(void)
{
	CHECK_EQ(close_range(3, ~0U, 0), 0);
}

static void in_scope(unsigned scope, size_t bytes, bool is_served)
{
	unsigned old = oomreclaim_scope_save(scope);
	void *memory;

	fail_from_here();
	memory = malloc(bytes);
	CHECK(is_served == !!memory);
	oomreclaim_scope_restore(old);
}

static void run_noretry(void)
{
	in_scope(OOMRECLAIM_SCOPE_NORETRY, BIG, false);
}

static void run_noreclaim(void)
{
	in_scope(OOMRECLAIM_SCOPE_NORECLAIM, BIG, false);
}

static void run_reserve(void)
{
	in_scope(OOMRECLAIM_SCOPE_RESERVE, 300 * KIB, true);
}

static void run_nofail(void)
{
	in_scope(OOMRECLAIM_SCOPE_NOFAIL, BIG, true);
}

static void run_impossible(void)
{
	fail_from_here();
	expect_refused(malloc((size_t)1 << 50));
}

static enum oomreclaim_policy decide(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)arg;
	CHECK(verdict->size == BIG);
	return OOMRECLAIM_POLICY_RETRY;
}

static void prepare_decide(void)
{
	CHECK_EQ(oomreclaim_set_policy_callback(decide, NULL), 0);
	CHECK_EQ(oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT), 0);
}

/* Somebody else who can be killed. */
static pid_t child;

static void prepare_child(void)
{
	pid_t parent = getpid();

	prepare_callback();
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* The parent may have ended before. */
		while (getppid() == parent)
			pause();
		_exit(0);
	}
}

/* The callbacks are asked again after each kill; there is one child to kill, and then nobody. */
static void run_child(void)
{
	void *volatile block;

	fail_from_here();
	block = malloc(BIG);
	(void)block;
}

static void run_child_by_hand(void)
{
	CHECK_EQ(oomreclaim_kill("By hand"), 0);
}

static void run_by_hand(void)
{
	fail_from_here();
	CHECK_EQ(oomreclaim_reclaim(BIG), 0);
}

static void run_kill(void)
{
	oomreclaim_kill("By hand");
}

static pid_t sleeper;

static size_t sleep_long(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	__atomic_store_n(&sleeper, gettid(), __ATOMIC_SEQ_CST);
	usleep(2000 * 1000);
	return 0;
}

static void *reclaim_in_thread(void *arg)
{
	(void)arg;
	oomreclaim_reclaim(MIB);
	return NULL;
}

/* Another thread's callbacks, which take longer than wait_ms. */
static void prepare_join(void)
{
	pthread_t thread;

	CHECK_EQ(oomreclaim_register("slow", 0, 0, sleep_long, NULL, NULL), 0);
	CHECK_EQ(pthread_create(&thread, NULL, reclaim_in_thread, NULL), 0);
	while (!__atomic_load_n(&sleeper, __ATOMIC_SEQ_CST))
		usleep(1000);
}

static const struct tight_case cases[] = {
	{"plain", NULL, run_malloc},
	{"exhaust", NULL, run_exhaust},
	{"forms", NULL, run_forms},
	{"new", NULL, run_new},
	{"callback", prepare_callback, run_malloc},
	{"callbacks", prepare_callbacks, run_malloc},
	{"shrinkers", prepare_shrinkers, run_malloc},
	{"purgeable", prepare_purgeable, run_malloc},
	{"grow", prepare_callback, run_grow},
	{"pressed", NULL, run_pressed},
	{"closed", close_all, run_pressed},
	{"join", prepare_join, run_malloc},
	{"noretry", prepare_callback, run_noretry},
	{"noreclaim", prepare_callback, run_noreclaim},
	{"reserve", NULL, run_reserve},
	{"nofail", NULL, run_nofail},
	{"impossible", prepare_callback, run_impossible},
	{"decide", prepare_decide, run_malloc},
	{"child", prepare_child, run_child},
	{"child-by-hand", prepare_child, run_child_by_hand},
	{"by-hand", prepare_callback, run_by_hand},
	{"kill", NULL, run_kill},
};

/* ---- The places ---- */

static const struct tight_case *chosen;
static bool has_come_back;

static void *run_chosen(void *arg)
{
	chosen->run();
	has_come_back = true;
	return arg;
}

/* No guard page of libc's, which would be taken from it: behind its end nothing is mapped. */
static void in_little_stack(void)
{
	const size_t guard = 256 * KIB, bytes = (size_t)PTHREAD_STACK_MIN;
	char *stack = mmap(NULL, guard + bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attr;
	pthread_t thread;

	CHECK(stack != MAP_FAILED);
	CHECK_EQ(mprotect(stack + guard, bytes, PROT_READ | PROT_WRITE), 0);
	CHECK_EQ(pthread_attr_init(&attr), 0);
	CHECK_EQ(pthread_attr_setstack(&attr, stack + guard, bytes), 0);
	CHECK_EQ(pthread_create(&thread, &attr, run_chosen, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void *run_cancelled(void *arg)
{
	CHECK_EQ(pthread_cancel(pthread_self()), 0);
	run_chosen(arg);
	/* It was pending all the time. */
	pthread_testcancel();
	CHECK(false);
	return arg;
}

static void in_pending_cancellation(void)
{
	pthread_t thread;
	void *result;

	CHECK_EQ(pthread_create(&thread, NULL, run_cancelled, NULL), 0);
	CHECK_EQ(pthread_join(thread, &result), 0);
	CHECK(result == PTHREAD_CANCELED);
	CHECK(has_come_back);
}

int main(int argc, char **argv)
{
	CHECK(argc >= 3);
	for (size_t i = 0; i < COUNT(cases); i++)
		if (!strcmp(cases[i].name, argv[2]))
			chosen = &cases[i];
	CHECK(chosen);
	if (chosen->prepare)
		chosen->prepare();
	if (!strcmp(argv[1], "stack"))
		in_little_stack();
	else if (!strcmp(argv[1], "cancel"))
		in_pending_cancellation();
	else if (!strcmp(argv[1], "clock"))
		run_chosen(NULL);
	else if (!strcmp(argv[1], "calls"))
		filter_call(argv + 3, true, run_chosen);
	else if (!strcmp(argv[1], "refused"))
		filter_call(argv + 3, false, run_chosen);
	else
		CHECK(false);
	return 0;
}
