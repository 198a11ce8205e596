/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Callbacks that fork, jump, end their thread or enter a group, just while the library has taken
 * the thread out of its group: for the record of a thread that is made there, for what libc keeps
 * for that thread, or for the record of a callback. Afterwards each group has as many threads as
 * are in it.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim.h"
#include "oomreclaim_group.h"

#define ROOT OOMRECLAIM_GROUP_ROOT

static struct pool pool;
static oomreclaim_group group, other;
static _Alignas(64 * KIB) char stack[256 * KIB];

/* What the callback does, once, where it finds the thread outside. */
static void (*act)(void);
static jmp_buf outside;
static pid_t child = -1;

static size_t act_once(const struct oomreclaim_control *control, void *arg)
{
	void (*what)(void) = act;

	(void)control;
	(void)arg;
	if (what == NULL || oomreclaim_group_current() != ROOT)
		return 0;
	act = NULL;
	what();
	return space_release(4 * MIB);
}

static size_t threads_in(oomreclaim_group in)
{
	struct oomreclaim_group_stats stats;

	CHECK_EQ(oomreclaim_group_stats(in, &stats, sizeof stats), 0);
	return stats.threads;
}

static void expect_threads(size_t inside)
{
	CHECK_EQ(threads_in(group), inside);
	CHECK_EQ(threads_in(other), 0);
}

/* This thread is inside, and it alone. */
static void expect_as_before(void)
{
	CHECK(oomreclaim_group_current() == group);
	expect_threads(1);
}

static void leave_and_destroy(void)
{
	CHECK(oomreclaim_group_enter(ROOT) == group);
	expect_threads(0);
	CHECK_EQ(oomreclaim_group_destroy(other, 0), 0);
	CHECK_EQ(oomreclaim_group_destroy(group, 0), 0);
}

/* ---- What the library allocates for itself ---- */

static void *begin(void *arg)
{
	CHECK(oomreclaim_group_current() == group);
	CHECK(threads_in(group) >= 2);
	return arg;
}

/* On a stack of the program's: then libc has nothing kept for the thread either. */
static void make_thread(void)
{
	pthread_attr_t attributes;
	pthread_t thread;

	CHECK_EQ(pthread_attr_init(&attributes), 0);
	CHECK_EQ(pthread_attr_setstack(&attributes, stack, sizeof stack), 0);
	CHECK_EQ(pthread_create(&thread, &attributes, begin, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attributes);
}

static void enlist(void)
{
	CHECK_EQ(oomreclaim_register("another", 0, 0, act_once, NULL, NULL), 0);
}

/* ---- In a group, without memory ---- */

/* Not a block of any size up to that. */
static void exhaust_all(void)
{
	exhaust(&pool);
	for (size_t bytes = 64 * KIB; bytes >= 16; bytes -= bytes > 128 ? bytes / 8 : 16)
		pool_fill(&pool, bytes);
}

static void prepare(void (*what)(void), bool has_spare)
{
	void *spare;

	CHECK_EQ(oomreclaim_register("acts", 0, 0, act_once, NULL, NULL), 0);
	CHECK_EQ(oomreclaim_group_create("held", ROOT, &group), 0);
	CHECK_EQ(oomreclaim_group_create("other", ROOT, &other), 0);
	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_INHERIT, 1), 0);
	/* Their arenas and caches. */
	oomreclaim_group_enter(other);
	oomreclaim_group_enter(group);
	oomreclaim_group_enter(ROOT);
	spare = malloc(32);
	exhaust_all();
	/* Enough for the record of a thread, and not for what libc wants. */
	if (has_spare)
		free(spare);
	oomreclaim_group_enter(group);
	act = what;
}

static void end(void)
{
	act = NULL;
	if (child > 0)
		CHECK_EQ(check_child(child), 0);
	space_release(16 * MIB);
	make_thread();
	expect_as_before();
	leave_and_destroy();
	if (child == 0)
		_exit(0);
}

/* With a frame of its own, which a jump leaves. */
__attribute__((noinline)) static void run_below(void (*allocate)(void))
{
	allocate();
}

static void run(void (*what)(void), void (*allocate)(void), bool has_spare)
{
	prepare(what, has_spare);
	if (setjmp(outside) == 0)
		run_below(allocate);
	CHECK(act == NULL);
	expect_as_before();
	end();
}

static void run_all(void (*what)(void))
{
	static void (*const allocate[])(void) = {make_thread, make_thread, enlist};

	for (size_t i = 0; i < COUNT(allocate); i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			run(what, allocate[i], i == 1);
			_exit(0);
		}
		CHECK_EQ(check_child(pid), 0);
	}
}

static void fork_here(void)
{
	child = fork();
	CHECK(child >= 0);
}

static void forks(void)
{
	run_all(fork_here);
}

static void jump(void)
{
	longjmp(outside, 1);
}

static void jumps(void)
{
	run_all(jump);
}

static void stay_in_other(void)
{
	CHECK(oomreclaim_group_enter(other) == ROOT);
}

static void stays_elsewhere(void)
{
	run_all(stay_in_other);
}

static void stay_in_group(void)
{
	CHECK(oomreclaim_group_enter(group) == ROOT);
}

static void stays_in_its_own(void)
{
	run_all(stay_in_group);
}

static void enter_and_jump(void)
{
	stay_in_other();
	jump();
}

static void jumps_elsewhere(void)
{
	run_all(enter_and_jump);
}

/* ---- The thread ends there ---- */

static void end_thread(void)
{
	pthread_exit(NULL);
}

static void *enter_and_end(void *arg)
{
	const bool *has_spare = arg;

	prepare(end_thread, *has_spare);
	make_thread();
	CHECK(!"the thread goes on");
	return NULL;
}

static void thread_ends(void)
{
	bool has_spare[] = {false, true};

	for (size_t i = 0; i < COUNT(has_spare); i++) {
		pid_t pid = fork();
		pthread_t thread;

		CHECK(pid >= 0);
		if (pid == 0) {
			CHECK_EQ(pthread_create(&thread, NULL, enter_and_end, &has_spare[i]), 0);
			CHECK_EQ(pthread_join(thread, NULL), 0);
			expect_threads(0);
			oomreclaim_group_enter(group);
			end();
			_exit(0);
		}
		CHECK_EQ(check_child(pid), 0);
	}
}

/* By another way than longjmp(), nobody sees that the callback is left: at the latest the end of
   the thread is seen. */
static ucontext_t unseen;
static volatile bool has_left;

static void leave_unseen(void)
{
	has_left = true;
	setcontext(&unseen);
}

static void *leave_and_end(void *arg)
{
	prepare(leave_unseen, false);
	CHECK_EQ(getcontext(&unseen), 0);
	if (!has_left)
		enlist();
	return arg;
}

static void thread_leaves_unseen(void)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, leave_and_end, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(has_left);
	expect_threads(0);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"forks", forks},
		{"jumps", jumps},
		{"stays-elsewhere", stays_elsewhere},
		{"stays-in-its-own", stays_in_its_own},
		{"jumps-elsewhere", jumps_elsewhere},
		{"thread-ends", thread_ends},
		{"thread-leaves-unseen", thread_leaves_unseen},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
