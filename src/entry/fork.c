/* SPDX-License-Identifier: BSD-2-Clause */
#include "entry/fork.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/single_threaded.h>

#include "background/background.h"
#include "base/base.h"
#include "base/fork_data.h"
#include "base/fork_gate.h"
#include "base/stack.h"
#include "entry/dry_run.h"
#include "heap/heap_ops.h"
#include "kill/kill_turn.h"
#include "kill/killer.h"
#include "kill/own_end.h"
#include "kill/policy.h"
#include "limits/budget.h"
#include "limits/group.h"
#include "limits/headroom.h"
#include "limits/total.h"
#include "reclaim/calls.h"
#include "reclaim/purgeable.h"
#include "reclaim/reclaim.h"
#include "reclaim/registry.h"
#include "reclaim/reserve.h"
#include "report/dump.h"
#include "report/report.h"
#include "report/stats.h"
#include "report/stats_page.h"
#include "report/total_say.h"

/* How long fork() waits for a callback in the background. */
#define FORK_WAIT_NS (500 * NSEC_PER_MSEC)

/* glibc's, of the list of all streams; recursive. glibc itself takes it behind all handlers. But
   fflush(NULL) holds it and waits for streams, and a thread that has a stream allocates: so the
   heap's locks come later. */
__attribute__((weak)) void _IO_list_lock(void);
__attribute__((weak)) void _IO_list_unlock(void);
__attribute__((weak)) void _IO_list_resetlock(void);

static void registry_reset(void)
{
	registry_fork_child(reclaim_is_caller());
}

static void groups_reset(void)
{
	group_fork_child_in(heap_ops.group_current());
}

static void total_reset(void)
{
	total_fork_child();
	total_say();
}

/* One of those that fork() has to be told to. Any function may be NULL. */
struct fork_part {
	void (*lock)(void);   /* before fork() */
	void (*unlock)(void); /* in the parent */
	void (*reset)(
		void); /* in the child, with the lock; without it where there was one thread */
	void (*release)(void); /* then, in the child, of what was locked */
};

/* Locked in this order. The heap works while the locks before its own are held. */
static const struct fork_part parts[] = {
	{_IO_list_lock, _IO_list_unlock, NULL, _IO_list_resetlock},
	{kill_turn_fork_lock, kill_turn_fork_unlock, kill_turn_fork_child, kill_turn_fork_unlock},
	{NULL, NULL, killer_fork_child, NULL},
	{NULL, NULL, dump_fork_child, NULL},
	{NULL, NULL, stack_fork_child, NULL},
	{report_fork_lock, report_fork_unlock, NULL, report_fork_unlock},
	{policy_fork_lock, policy_fork_unlock, NULL, policy_fork_unlock},
	{reclaim_fork_lock, reclaim_fork_unlock, reclaim_fork_child, reclaim_fork_unlock},
	{purgeable_fork_lock, purgeable_fork_unlock, NULL, purgeable_fork_unlock},
	{group_fork_lock, group_fork_unlock, groups_reset, group_fork_unlock},
	{registry_fork_lock, registry_fork_unlock, registry_reset, registry_fork_unlock},
	{calls_fork_lock, calls_fork_unlock, calls_fork_child, calls_fork_unlock},
	{NULL, NULL, reserve_fork_child, NULL},
	{NULL, NULL, own_end_fork_child, NULL},
	{NULL, NULL, budget_fork_child, NULL},
	{NULL, NULL, headroom_fork_child, NULL},
	{NULL, NULL, stats_page_fork_child, NULL},
	{NULL, NULL, stats_fork_child, NULL},
	{NULL, NULL, background_fork_child, NULL},
	{NULL, NULL, dry_run_fork_child, NULL},
	/* The child's own slot comes before all that it is asked or charged for. */
	{NULL, NULL, total_reset, NULL},
	{heap_fork_prepare, heap_fork_parent, NULL, heap_fork_child},
};

/* From prepare() to parent() or child(): of the one thread that has the locks, or that there is. */
static OOM_FORK_DATA struct {
	sigset_t mask;
	int cancel_state;
	bool is_locked;
} under_way;

static void run(void (*function)(void))
{
	if (function != NULL)
		function();
}

/* A signal's handler that forks would wait here for locks of its own thread. Signals that the
   thread itself causes stay open: blocked, they end the process, and some programs live by them. */
static void block_signals(sigset_t *old)
{
	static const int synchronous[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
	sigset_t most;

	sigfillset(&most);
	for (size_t i = 0; i < ARRAY_SIZE(synchronous); i++)
		sigdelset(&most, synchronous[i]);
	pthread_sigmask(SIG_BLOCK, &most, old);
}

/* Alone, a thread needs no lock, and may have interrupted itself where it holds one. As in glibc's
   own malloc. fork() is no cancellation point, but what comes here is. */
static void prepare(void)
{
	bool is_locked = !__libc_single_threaded;
	int cancel_state;
	sigset_t mask;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	/* With no lock held, as the callback may need it, and with no signal blocked, as it takes
	   its time. */
	fork_gate_prepare(FORK_WAIT_NS);
	block_signals(&mask);
	for (size_t i = 0; is_locked && i < ARRAY_SIZE(parts); i++)
		run(parts[i].lock);
	under_way.mask = mask;
	under_way.cancel_state = cancel_state;
	under_way.is_locked = is_locked;
}

static void parent(void)
{
	bool is_locked = under_way.is_locked;
	int cancel_state = under_way.cancel_state;
	sigset_t mask = under_way.mask;

	for (size_t i = ARRAY_SIZE(parts); i-- > 0;)
		if (is_locked)
			run(parts[i].unlock);
	fork_gate_parent();
	pthread_setcancelstate(cancel_state, NULL);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

static void child(void)
{
	fork_gate_child();
	for (size_t i = ARRAY_SIZE(parts); i-- > 0;) {
		run(parts[i].reset);
		if (under_way.is_locked)
			run(parts[i].release);
	}
	pthread_setcancelstate(under_way.cancel_state, NULL);
	pthread_sigmask(SIG_SETMASK, &under_way.mask, NULL);
}

int fork_register(void)
{
	static atomic_flag is_registered = ATOMIC_FLAG_INIT;
	int error = 0;

	/* Set before: what libc is asked by may lead here (interpose_atfork.c). */
	if (!atomic_flag_test_and_set(&is_registered)) {
		error = pthread_atfork(prepare, parent, child);
		if (error != 0)
			atomic_flag_clear(&is_registered);
	}
	return error;
}

int heap_wants_fork(void)
{
	return fork_register();
}
