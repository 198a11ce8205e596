/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens when nothing is left: the launcher holds the signal and the report against what is
   expected. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "je.h"
#include "oomreclaim.h"

static struct pool pool;

static void prepare(void)
{
	CHECK(oomreclaim_register("give nothing", -7, 0, check_give_nothing, NULL, NULL) == 0);
	exhaust(&pool);
}

static void fail(size_t bytes)
{
	errno = 0;
	CHECK(!malloc(bytes));
	CHECK_EQ(errno, ENOMEM);
}

/* Ends, or comes back with NULL, as the policy is. */
static void small(void)
{
	prepare();
	fail(4096);
}

static void costly(void)
{
	prepare();
	fail(64 * KIB);
}

static void impossible(void)
{
	prepare();
	fail((size_t)1 << 50);
}

static void explicit_arena(void)
{
	prepare();
	errno = 0;
	CHECK(!mallocx(4096, MALLOCX_ARENA(0) | MALLOCX_TCACHE_NONE));
	CHECK_EQ(errno, ENOMEM);
}

/* Every form of a failing request comes to the same. */
static void realloc_fails(void)
{
	void *block = malloc(1000);

	prepare();
	block = realloc(block, 16 * KIB);
	CHECK(!block);
}

static void set(void)
{
	errno = ERRNO_UNTOUCHED;
	CHECK(oomreclaim_get_policy() == OOMRECLAIM_POLICY_KILL);
	CHECK(oomreclaim_set_policy(OOMRECLAIM_POLICY_RETRY) == EINVAL);
	CHECK(oomreclaim_set_policy((enum oomreclaim_policy)99) == EINVAL);
	CHECK(oomreclaim_get_policy() == OOMRECLAIM_POLICY_KILL);
	CHECK(oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT) == 0);
	CHECK(oomreclaim_get_policy() == OOMRECLAIM_POLICY_ABORT);
	CHECK(oomreclaim_set_policy(OOMRECLAIM_POLICY_RETURN) == 0);
	CHECK(oomreclaim_get_policy() == OOMRECLAIM_POLICY_RETURN);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
	small();
}

/* ---- Handlers ---- */

static void exit_7(int signal)
{
	(void)signal;
	_exit(7);
}

static void term_handler(void)
{
	CHECK(signal(SIGTERM, exit_7) != SIG_ERR);
	small();
}

/* Saves its work, say: the reserve is for this. */
static void save_work(int signal)
{
	void *block = malloc(256 * KIB);

	(void)signal;
	CHECK(block);
	memset(block, 1, 256 * KIB);
	/* No report within the report, no second end. */
	CHECK(!malloc(64 * MIB));
	free(block);
	_exit(7);
}

static void abort_handler(void)
{
	CHECK(signal(SIGABRT, save_work) != SIG_ERR);
	small();
}

/* ---- Descriptors ---- */

static void no_stderr(void)
{
	prepare();
	close(STDERR_FILENO);
	errno = 0;
	if (malloc(4096) || errno != ENOMEM)
		_exit(9);
	_exit(0);
}

static void broken_stderr(void)
{
	int ends[2];

	CHECK(signal(SIGPIPE, exit_7) != SIG_ERR);
	CHECK(pipe(ends) == 0);
	prepare();
	close(ends[0]);
	dup2(ends[1], STDERR_FILENO);
	errno = 0;
	if (malloc(4096) || errno != ENOMEM)
		_exit(9);
	_exit(0);
}

/* ---- The policy callback ---- */

static int calls;
static bool is_quiet = true;

static enum oomreclaim_policy decide(const struct oomreclaim_verdict *verdict, void *arg)
{
	calls++;
	CHECK(verdict->struct_size >= sizeof *verdict);
	CHECK(verdict->size == 4096 && verdict->alignment == 0 && verdict->scope == 0);
	CHECK(!strcmp(verdict->constraint, "RLIMIT_AS"));
	CHECK(verdict->policy == OOMRECLAIM_POLICY_ABORT);
	if (!is_quiet)
		space_release(8 * MIB);
	errno = EBADF;
	return *(enum oomreclaim_policy *)arg;
}

static void decide_with(enum oomreclaim_policy decision)
{
	static enum oomreclaim_policy decided;

	decided = decision;
	prepare();
	CHECK(oomreclaim_set_policy_callback(decide, &decided) == 0);
}

static void decide_return(void)
{
	decide_with(OOMRECLAIM_POLICY_RETURN);
	fail(4096);
	CHECK_EQ(calls, 1);
	/* Where the policy may not act it is not asked. */
	fail(64 * KIB);
	CHECK_EQ(calls, 1);
}

static void decide_abort(void)
{
	decide_with(OOMRECLAIM_POLICY_ABORT);
	fail(4096);
}

static void decide_kill(void)
{
	decide_with(OOMRECLAIM_POLICY_KILL);
	fail(4096);
}

static void decide_other(void)
{
	decide_with((enum oomreclaim_policy)99);
	fail(4096);
	CHECK_EQ(calls, 1);
}

/* It lies: 16 times it is believed. */
static void decide_retry(void)
{
	decide_with(OOMRECLAIM_POLICY_RETRY);
	fail(4096);
	CHECK_EQ(calls, 17);
	is_quiet = false;
	calls = 0;
	errno = ERRNO_UNTOUCHED;
	CHECK(malloc(4096));
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
	CHECK_EQ(calls, 1);
}

static void decide_removed(void)
{
	decide_with(OOMRECLAIM_POLICY_RETURN);
	CHECK(oomreclaim_set_policy_callback(NULL, NULL) == 0);
	fail(4096);
}

/* ---- All at once ---- */

enum { THREADS = 8 };
static pthread_barrier_t together;
static void *volatile kept;

static void *fail_together(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&together);
	/* As soon as one of them ends the process the others get the reserve. */
	for (;;)
		kept = malloc(4096);
	return NULL;
}

static void crowd_of(void *(*function)(void *))
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 * KIB);
	CHECK(pthread_barrier_init(&together, NULL, THREADS + 1) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread, &attr, function, NULL) == 0);
	prepare();
	pthread_barrier_wait(&together);
	for (;;)
		pause();
}

static void crowd(void)
{
	crowd_of(fail_together);
}

/* While one of them ends the process none of the others comes back: a caller under such a policy
   need not look for NULL. */
static void *use_together(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&together);
	for (;;)
		CHECK(kept = malloc(4096));
	return NULL;
}

static void take_time(int signal)
{
	const struct timespec while_others_fail = {.tv_nsec = 200 * 1000 * 1000};

	(void)signal;
	nanosleep(&while_others_fail, NULL);
	_exit(7);
}

static void crowd_and_handler(void)
{
	CHECK(signal(SIGABRT, take_time) != SIG_ERR);
	crowd_of(use_together);
}

/* A handler that jumps back, to its own thread, while another one waits for the end: both go on,
   and meet the policy the next time as well. */
static _Thread_local sigjmp_buf back;
static pid_t waiting;
static atomic_bool is_ending;
static atomic_uint jumps;

static void jump_back(int signal)
{
	(void)signal;
	if (atomic_fetch_add(&jumps, 1) == 0) {
		atomic_store(&is_ending, true);
		check_asleep(&waiting);
	}
	siglongjmp(back, 1);
}

__attribute__((noinline)) static void fail_below(void)
{
	for (;;)
		CHECK(kept = malloc(4096));
}

static void fail_and_jump(void)
{
	if (sigsetjmp(back, 1) == 0)
		fail_below();
}

static void *fail_while_ending(void *arg)
{
	waiting = gettid();
	while (!atomic_load(&is_ending))
		sched_yield();
	fail_and_jump();
	return arg;
}

static void jumping_handler(void)
{
	pthread_t thread;

	CHECK(signal(SIGABRT, jump_back) != SIG_ERR);
	CHECK(pthread_create(&thread, NULL, fail_while_ending, NULL) == 0);
	while (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST) == 0)
		sched_yield();
	prepare();
	fail_and_jump();
	CHECK(pthread_join(thread, NULL) == 0);
	fail_and_jump();
	CHECK_EQ(atomic_load(&jumps), 3);
	pool_clear(&pool);
	space_release(4 * MIB);
	CHECK(malloc(4096));
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"small", small},
		{"costly", costly},
		{"impossible", impossible},
		{"explicit-arena", explicit_arena},
		{"realloc", realloc_fails},
		{"set", set},
		{"term-handler", term_handler},
		{"abort-handler", abort_handler},
		{"no-stderr", no_stderr},
		{"broken-stderr", broken_stderr},
		{"decide-return", decide_return},
		{"decide-abort", decide_abort},
		{"decide-kill", decide_kill},
		{"decide-other", decide_other},
		{"decide-retry", decide_retry},
		{"decide-removed", decide_removed},
		{"crowd", crowd},
		{"crowd-and-handler", crowd_and_handler},
		{"jumping-handler", jumping_handler},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
