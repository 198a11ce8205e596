/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads that are made inside of a group. */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

#include "check.h"
#include "je.h"
#include "oomreclaim_group.h"

#define ROOT OOMRECLAIM_GROUP_ROOT

static oomreclaim_group make_in(oomreclaim_group parent, const char *name)
{
	oomreclaim_group group = 0;

	CHECK_EQ(oomreclaim_group_create(name, parent, &group), 0);
	return group;
}

static void set_inherit(oomreclaim_group group, int64_t value)
{
	int64_t is = -1;

	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_INHERIT, value), 0);
	CHECK_EQ(oomreclaim_group_get(group, OOMRECLAIM_GROUP_INHERIT, &is), 0);
	CHECK_EQ(is, value);
}

/* One that is inherited, and this thread inside. */
static oomreclaim_group enter_new(const char *name)
{
	oomreclaim_group group = make_in(ROOT, name);

	set_inherit(group, 1);
	CHECK(oomreclaim_group_enter(group) == ROOT);
	return group;
}

static size_t threads_in(oomreclaim_group group)
{
	struct oomreclaim_group_stats stats;

	CHECK_EQ(oomreclaim_group_stats(group, &stats, sizeof stats), 0);
	return stats.threads;
}

/* Nobody is inside, and no thread is counted that is not. */
static void destroy(oomreclaim_group group)
{
	CHECK_EQ(threads_in(group), 0);
	CHECK_EQ(oomreclaim_group_destroy(group, 0), 0);
}

static void leave_and_destroy(oomreclaim_group group)
{
	CHECK(oomreclaim_group_enter(ROOT) == group);
	destroy(group);
}

static pthread_t create(void *(*start)(void *), void *arg)
{
	pthread_t thread;

	errno = ERRNO_UNTOUCHED;
	CHECK_EQ(pthread_create(&thread, NULL, start, arg), 0);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
	return thread;
}

static void *join(pthread_t thread)
{
	void *result;

	CHECK_EQ(pthread_join(thread, &result), 0);
	return result;
}

/* Blocks of up to 128 bytes in use, in all arenas, those of threads' caches included. */
static size_t small_blocks(void)
{
	uint64_t epoch = 1;
	size_t sum = 0, count, length = sizeof count;
	char name[] = "stats.arenas.4096.bins.0.curregs";

	CHECK_EQ(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0), 0);
	CHECK_EQ(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
	for (char bin = '0'; bin <= '8'; bin++) {
		name[sizeof "stats.arenas.4096.bins." - 1] = bin;
		CHECK_EQ(mallctl(name, &count, &length, NULL, 0), 0);
		sum += count;
	}
	return sum;
}

/* ---- Where a thread begins ---- */

/* The group that is expected; so is a block. Returns the argument. */
static void *begin_in(void *arg)
{
	oomreclaim_group group = *(oomreclaim_group *)arg;
	void *block = malloc(100);

	CHECK(oomreclaim_group_current() == group);
	CHECK(block != NULL && oomreclaim_group_of(block) == group);
	free(block);
	return arg;
}

static void expect_begin_in(oomreclaim_group group)
{
	CHECK(join(create(begin_in, &group)) == &group);
}

static void inherits(void)
{
	oomreclaim_group group = enter_new("inherited"), inside = group;

	for (int i = 0; i < 20; i++) {
		expect_begin_in(inside);
		CHECK(oomreclaim_group_current() == group);
		CHECK_EQ(threads_in(group), 1);
	}
	oomreclaim_group_enter(ROOT);
	expect_begin_in(ROOT);
	destroy(group);
}

/* At first, and when it is set back. */
static void does_not(void)
{
	oomreclaim_group group = make_in(ROOT, "plain");
	int64_t value = 4711;

	CHECK_EQ(oomreclaim_group_get(group, OOMRECLAIM_GROUP_INHERIT, &value), 0);
	CHECK_EQ(value, 0);
	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_INHERIT, 2), ERANGE);
	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_INHERIT, -1), ERANGE);
	CHECK_EQ(oomreclaim_group_set(ROOT, OOMRECLAIM_GROUP_INHERIT, 1), EINVAL);
	oomreclaim_group_enter(group);
	expect_begin_in(ROOT);
	set_inherit(group, 1);
	expect_begin_in(group);
	set_inherit(group, 0);
	expect_begin_in(ROOT);
	leave_and_destroy(group);
	/* The next one in its place begins anew. */
	for (size_t i = 0; i < OOMRECLAIM_GROUPS_MAX + 2; i++) {
		group = make_in(ROOT, "next");
		CHECK_EQ(oomreclaim_group_get(group, OOMRECLAIM_GROUP_INHERIT, &value), 0);
		CHECK_EQ(value, 0);
		set_inherit(group, 1);
		destroy(group);
	}
}

/* Without it a group is as its parent. */
static void nested(void)
{
	oomreclaim_group outer = make_in(ROOT, "outer"), middle = make_in(outer, "middle"),
			 inner = make_in(middle, "inner");

	oomreclaim_group_enter(inner);
	expect_begin_in(ROOT);
	set_inherit(outer, 1);
	expect_begin_in(outer);
	CHECK_EQ(threads_in(outer), 0);
	set_inherit(inner, 1);
	expect_begin_in(inner);
	oomreclaim_group_enter(middle);
	expect_begin_in(outer);
	set_inherit(middle, 1);
	expect_begin_in(middle);
	oomreclaim_group_enter(ROOT);
	destroy(inner);
	destroy(middle);
	destroy(outer);
}

/* The thread of a thread; and one that goes elsewhere meanwhile. */
static void *begin_and_create(void *arg)
{
	begin_in(arg);
	return join(create(begin_in, arg));
}

static void *begin_and_leave(void *arg)
{
	begin_in(arg);
	CHECK(oomreclaim_group_enter(ROOT) == *(oomreclaim_group *)arg);
	CHECK_EQ(threads_in(*(oomreclaim_group *)arg), 1);
	expect_begin_in(ROOT);
	return arg;
}

static void generations(void)
{
	oomreclaim_group group = enter_new("family");

	CHECK(join(create(begin_and_create, &group)) == &group);
	CHECK(join(create(begin_and_leave, &group)) == &group);
	leave_and_destroy(group);
}

static int begin_c11_in(void *arg)
{
	begin_in(arg);
	return 4711;
}

static int leave_c11(void *arg)
{
	begin_in(arg);
	thrd_exit(-5);
}

static void c11(void)
{
	oomreclaim_group group = enter_new("c11"), outside = ROOT;
	thrd_t thread;
	int result;

	CHECK_EQ(thrd_create(&thread, begin_c11_in, &group), thrd_success);
	CHECK_EQ(thrd_join(thread, &result), thrd_success);
	CHECK_EQ(result, 4711);
	CHECK_EQ(thrd_create(&thread, leave_c11, &group), thrd_success);
	CHECK_EQ(thrd_join(thread, &result), thrd_success);
	CHECK_EQ(result, -5);
	set_inherit(group, 0);
	CHECK_EQ(thrd_create(&thread, begin_c11_in, &outside), thrd_success);
	CHECK_EQ(thrd_join(thread, &result), thrd_success);
	leave_and_destroy(group);
	CHECK_EQ(thrd_create(&thread, begin_c11_in, &outside), thrd_success);
	CHECK_EQ(thrd_join(thread, &result), thrd_success);
	CHECK_EQ(result, 4711);
}

static void c11_many(void)
{
	oomreclaim_group group = enter_new("c11");
	size_t before = 0;

	for (int i = 0; i < 1000; i++) {
		thrd_t thread;

		CHECK_EQ(thrd_create(&thread, begin_c11_in, &group), thrd_success);
		CHECK_EQ(thrd_join(thread, NULL), thrd_success);
		if (i == 100)
			before = small_blocks();
	}
	CHECK(small_blocks() <= before + 450);
	leave_and_destroy(group);
}

/* As a binary has it that was linked long ago. */
#if defined(__x86_64__)
#define FIRST_VERSION "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define FIRST_VERSION "GLIBC_2.17"
#endif
#ifdef FIRST_VERSION
int old_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                       void *arg);
__asm__(".symver old_pthread_create, pthread_create@" FIRST_VERSION);
#else
#define old_pthread_create pthread_create
#endif

static void old_version(void)
{
	oomreclaim_group group = enter_new("old");
	pthread_t thread;

	CHECK_EQ(old_pthread_create(&thread, NULL, begin_in, &group), 0);
	CHECK(join(thread) == &group);
	leave_and_destroy(group);
}

/* ---- How it ends ---- */

static void *leave_by_exit(void *arg)
{
	begin_in(arg);
	pthread_exit(arg);
}

static void *wait_to_be_cancelled(void *arg)
{
	begin_in(arg);
	for (;;)
		pause();
	return NULL;
}

static void ends(void)
{
	oomreclaim_group group = enter_new("ends");
	pthread_t thread;

	CHECK(join(create(leave_by_exit, &group)) == &group);
	CHECK_EQ(threads_in(group), 1);
	thread = create(wait_to_be_cancelled, &group);
	CHECK_EQ(pthread_cancel(thread), 0);
	CHECK(join(thread) == PTHREAD_CANCELED);
	leave_and_destroy(group);
}

static void detached(void)
{
	oomreclaim_group group = enter_new("detached");

	for (int i = 0; i < 20; i++)
		CHECK_EQ(pthread_detach(create(begin_in, &group)), 0);
	while (threads_in(group) > 1)
		sched_yield();
	leave_and_destroy(group);
}

/* From pthread_create() on. */
static void *wait_for_lock(void *arg)
{
	pthread_mutex_lock(arg);
	pthread_mutex_unlock(arg);
	return NULL;
}

static void about_to_begin(void)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	for (int i = 0; i < 200; i++) {
		oomreclaim_group group = enter_new("begins");
		pthread_t thread;

		pthread_mutex_lock(&lock);
		thread = create(wait_for_lock, &lock);
		oomreclaim_group_enter(ROOT);
		CHECK_EQ(oomreclaim_group_destroy(group, OOMRECLAIM_GROUP_FREE), EBUSY);
		CHECK_EQ(threads_in(group), 1);
		pthread_mutex_unlock(&lock);
		join(thread);
		destroy(group);
	}
}

/* ---- What it costs ---- */

static atomic_uint begun;

static void *begin_and_end(void *arg)
{
	begin_in(arg);
	atomic_fetch_add(&begun, 1);
	pthread_testcancel();
	return NULL;
}

/* A cancellation that is pending when a thread begins is the program's function's. */
static void cancelled_before(void)
{
	oomreclaim_group group = enter_new("cancelled");
	unsigned cancelled = 0;
	size_t before = 0;

	for (unsigned i = 0; i < 1000; i++) {
		pthread_t thread = create(begin_and_end, &group);

		CHECK_EQ(pthread_cancel(thread), 0);
		cancelled += join(thread) == PTHREAD_CANCELED;
		CHECK_EQ(atomic_load(&begun), i + 1);
		if (i == 100)
			before = small_blocks();
	}
	CHECK(cancelled > 0);
	CHECK(small_blocks() <= before + 450);
	leave_and_destroy(group);
}

/* No thread, and its error. */
static void fails(void)
{
	oomreclaim_group group = enter_new("fails");
	const struct rlimit none = {.rlim_cur = 1, .rlim_max = RLIM_INFINITY};
	size_t before = 0;
	thrd_t thread;
	pthread_t other;

	CHECK_EQ(setrlimit(RLIMIT_AS, &none), 0);
	for (int i = 0; i < 1000; i++) {
		CHECK_EQ(pthread_create(&other, NULL, begin_in, &group), EAGAIN);
		CHECK(thrd_create(&thread, begin_c11_in, &group) != thrd_success);
		CHECK(oomreclaim_group_current() == group);
		if (i == 100)
			before = small_blocks();
	}
	CHECK(small_blocks() <= before + 450);
	leave_and_destroy(group);
}

static void small_stack(void)
{
	oomreclaim_group group = enter_new("stack");
	pthread_attr_t attributes;
	pthread_t thread;

	CHECK_EQ(pthread_attr_init(&attributes), 0);
	CHECK_EQ(pthread_attr_setstacksize(&attributes, (size_t)sysconf(_SC_THREAD_STACK_MIN)), 0);
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(pthread_create(&thread, &attributes, begin_in, &group), 0);
		CHECK(join(thread) == &group);
	}
	pthread_attr_destroy(&attributes);
	leave_and_destroy(group);
}

/* Nothing is between libc and the program's function. */
static void check_is_libc(const void *address)
{
	Dl_info caller;

	CHECK(dladdr(address, &caller) != 0);
	CHECK(strstr(caller.dli_fname, "/libc.so") || strstr(caller.dli_fname, "/libpthread"));
}

static void *is_called_by_libc(void *arg)
{
	check_is_libc(__builtin_return_address(0));
	return arg;
}

static int is_called_by_libc_c11(void *arg)
{
	check_is_libc(__builtin_return_address(0));
	return arg == NULL;
}

static void no_frame(void)
{
	oomreclaim_group group = enter_new("frame");
	thrd_t thread;
	int result;

	join(create(is_called_by_libc, NULL));
	CHECK_EQ(thrd_create(&thread, is_called_by_libc_c11, NULL), thrd_success);
	CHECK_EQ(thrd_join(thread, &result), thrd_success);
	CHECK_EQ(result, 1);
	leave_and_destroy(group);
}

/* Without memory the thread begins all the same, outside. */
static void *begin_outside(void *arg)
{
	CHECK(oomreclaim_group_current() == ROOT);
	return arg;
}

static void no_memory(void)
{
	oomreclaim_group group = enter_new("poor");
	struct pool pool = {.count = 0};
	void *spare;

	oomreclaim_group_enter(ROOT);
	/* libc keeps its stack for the next one. */
	expect_begin_in(ROOT);
	spare = malloc(32);
	exhaust(&pool);
	oomreclaim_group_enter(group);
	join(create(begin_outside, NULL));
	CHECK_EQ(threads_in(group), 1);
	oomreclaim_group_enter(ROOT);
	/* Enough to say where it is to begin, and not for that. */
	free(spare);
	oomreclaim_group_enter(group);
	join(create(begin_outside, NULL));
	CHECK_EQ(threads_in(group), 1);
	oomreclaim_group_enter(ROOT);
	space_release(16 * MIB);
	pool_clear(&pool);
	oomreclaim_group_enter(group);
	expect_begin_in(group);
	leave_and_destroy(group);
}

/* ---- fork(), and the library's own threads ---- */

static void *fork_inside(void *arg)
{
	oomreclaim_group group = *(oomreclaim_group *)arg;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK_EQ(threads_in(group), 1);
		expect_begin_in(group);
		leave_and_destroy(group);
		_exit(0);
	}
	CHECK_EQ(check_child(pid), 0);
	return NULL;
}

static void forks(void)
{
	oomreclaim_group group = enter_new("forked");

	join(create(fork_inside, &group));
	CHECK_EQ(threads_in(group), 1);
	fork_inside(&group);
	leave_and_destroy(group);
}

/* Another thread forks while threads are about to begin. */
static atomic_bool is_over;

static void *fork_often(void *arg)
{
	for (int i = 0; i < 50; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			destroy(*(oomreclaim_group *)arg);
			_exit(0);
		}
		CHECK_EQ(check_child(pid), 0);
	}
	atomic_store(&is_over, true);
	return NULL;
}

static void forks_elsewhere(void)
{
	oomreclaim_group group = make_in(ROOT, "forked");
	pthread_t thread = create(fork_often, &group);

	set_inherit(group, 1);
	oomreclaim_group_enter(group);
	while (!atomic_load(&is_over))
		expect_begin_in(group);
	join(thread);
	leave_and_destroy(group);
}

static size_t give_nothing(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	atomic_store((atomic_bool *)arg, true);
	return 0;
}

/* oomreclaimd, at a watermark that is crossed inside; and jemalloc's own. */
static void own_threads(void)
{
	oomreclaim_group group = enter_new("own");
	atomic_bool is_called = false;
	bool on = true;

	CHECK_EQ(oomreclaim_register("own", 0, 0, give_nothing, &is_called, NULL), 0);
	memset(malloc(64 * MIB), 1, 64 * MIB);
	while (!atomic_load(&is_called)) {
		free(malloc(100 * KIB));
		sched_yield();
	}
	CHECK_EQ(mallctl("background_thread", NULL, NULL, &on, sizeof on), 0);
	leave_and_destroy(group);
}

/* ---- What libc keeps for a thread ---- */

static void *nothing(void *arg)
{
	return arg;
}

static int nothing_c11(void *arg)
{
	return arg != NULL;
}

static void run_pthread(void)
{
	join(create(nothing, NULL));
}

static void run_c11(void)
{
	thrd_t thread;

	CHECK_EQ(thrd_create(&thread, nothing_c11, NULL), thrd_success);
	CHECK_EQ(thrd_join(thread, NULL), thrd_success);
}

/* libc keeps the stack for the next thread, with what is allocated for it: that does not end with
   the group. */
static void kept_for_the_next(void (*run)(void), int64_t inherit)
{
	oomreclaim_group group = make_in(ROOT, "first");
	void *blocks[1000];

	set_inherit(group, inherit);
	oomreclaim_group_enter(group);
	run();
	CHECK(oomreclaim_group_current() == group);
	oomreclaim_group_enter(ROOT);
	CHECK_EQ(oomreclaim_group_destroy(group, OOMRECLAIM_GROUP_FREE), 0);
	/* The next group has the same memory. */
	group = make_in(ROOT, "next");
	oomreclaim_group_enter(group);
	for (size_t i = 0; i < COUNT(blocks); i++) {
		blocks[i] = malloc(16 * (i % 64 + 1));
		CHECK(blocks[i] != NULL);
		memset(blocks[i], 0xff, 16 * (i % 64 + 1));
	}
	oomreclaim_group_enter(ROOT);
	run();
	oomreclaim_group_enter(group);
	for (size_t i = 0; i < COUNT(blocks); i++)
		free(blocks[i]);
	leave_and_destroy(group);
}

static void stacks(void)
{
	kept_for_the_next(run_pthread, 0);
	kept_for_the_next(run_pthread, 1);
}

static void stacks_c11(void)
{
	kept_for_the_next(run_c11, 0);
	kept_for_the_next(run_c11, 1);
}

/* The program has one of its own in front of the library's. */
#ifdef WRAPPED
typedef int creator(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                    void *arg);

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *arg)
{
	creator *next;

	*(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
	return next(thread, attributes, start, arg);
}
#endif

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"inherits", inherits},
		{"does-not", does_not},
		{"nested", nested},
		{"generations", generations},
		{"c11", c11},
		{"c11-many", c11_many},
		{"old-version", old_version},
		{"ends", ends},
		{"detached", detached},
		{"about-to-begin", about_to_begin},
		{"cancelled-before", cancelled_before},
		{"fails", fails},
		{"small-stack", small_stack},
		{"no-frame", no_frame},
		{"no-memory", no_memory},
		{"forks", forks},
		{"forks-elsewhere", forks_elsewhere},
		{"own-threads", own_threads},
		{"stacks", stacks},
		{"stacks-c11", stacks_c11},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
