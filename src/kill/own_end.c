/* SPDX-License-Identifier: BSD-2-Clause */
#include "kill/own_end.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "base/flight.h"
#include "base/fork_data.h"
#include "base/trace.h"
#include "config/options.h"
#include "reclaim/descent.h"
#include "reclaim/guard.h"
#include "report/dump.h"
#include "report/stats.h"
#include "report/stats_page.h"

/* What a shell reports for a process that a signal ended. */
#define EXIT_OF_SIGNAL(signal) (128 + (signal))

/* A thread that sees it late merely takes one more rung. */
static atomic_bool is_dying;

/* When the grace of this process ends; 0 while there is none. Relaxed, as above. */
static _Atomic uint64_t grace_ends_ns;

/* Which thread ends it. Relaxed: only that thread has to find itself here. */
static _Atomic pthread_t ender;

/* Until when the others wait for the end; 0: they do not. */
static _Atomic uint64_t near_until_ns;

/* The others do not wait for longer, whatever the grace is: a handler of SIGABRT may wait for one
   of them, or for a debugger. */
#define NEAR_MS_MAX 5000

/* By a signal that may be handled, the process goes on until its grace is over. */
static uint64_t near_until(enum oomreclaim_policy policy)
{
	if (policy == OOMRECLAIM_POLICY_KILL && options.kill_signal != SIGKILL)
		return 0;
	return now_ns() + min_size(options.kill_grace_ms, NEAR_MS_MAX) * NSEC_PER_MSEC;
}

bool own_end_mark(enum oomreclaim_policy policy)
{
	if (own_end_is_dying())
		return false;
	/* Before the mark, by release: a thread that sees the process dying sees this. Of two
	   threads here, the second's time is as good as the first's. */
	atomic_store_explicit(&near_until_ns, near_until(policy), memory_order_relaxed);
	if (atomic_exchange_explicit(&is_dying, true, memory_order_release))
		return false;
	atomic_store_explicit(&ender, pthread_self(), memory_order_relaxed);
	return true;
}

bool own_end_is_dying(void)
{
	return atomic_load_explicit(&is_dying, memory_order_acquire);
}

bool own_end_is_near(void)
{
	uint64_t until_ns = atomic_load_explicit(&near_until_ns, memory_order_relaxed);

	return own_end_is_dying() && now_ns() < until_ns &&
	       !pthread_equal(atomic_load_explicit(&ender, memory_order_relaxed), pthread_self());
}

void own_end_report(const struct oom_control *control, const struct report_verdict *verdict)
{
	if (options.report != REPORT_NEVER)
		report_write(control, verdict);
	dump_write();
}

bool own_end_claim(const struct oom_control *control, const struct report_verdict *verdict)
{
	if (!own_end_mark(verdict->policy))
		return false;
	if (verdict->policy == OOMRECLAIM_POLICY_KILL)
		stats_count(STATS_KILLS);
	stats_verdict(control,
	              verdict->policy == OOMRECLAIM_POLICY_KILL ? OOMRECLAIM_OUTCOME_KILL
	                                                        : OOMRECLAIM_OUTCOME_ABORT,
	              verdict->victim != NULL ? verdict->victim->pid : 0);
	stats_page_update();
	own_end_report(control, verdict);
	return true;
}

/* A timer of the kernel's own, whose expiry is SIGKILL: it needs no thread, no memory, and nothing
   the program does can hold it up. Not glibc's timer_create(), which may allocate. */
static void arm_grace(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
	const struct itimerspec grace = {
		.it_value = timespec_of_ns(options.kill_grace_ms * NSEC_PER_MSEC + 1)};
	int timer;

	atomic_store_explicit(&grace_ends_ns, now_ns() + options.kill_grace_ms * NSEC_PER_MSEC,
	                      memory_order_relaxed);
	if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) == 0)
		syscall(SYS_timer_settime, timer, 0, &grace, NULL);
}

/* The thread is on its way out of a signal's handler, by longjmp() or pthread_exit(). */
static void jump_out(void *arg)
{
	(void)arg;
	/* Still inside of a callback, which asked for the end by hand, it may stay there. */
	if (!descent_is_open())
		descent_abandon();
}

/* Behind SIGABRT there is no end then: the process is as before, and threads that wait for the end
   go on at once. */
static void call_off(void *arg)
{
	if (own_end_is_dying() &&
	    pthread_equal(atomic_load_explicit(&ender, memory_order_relaxed), pthread_self()))
		atomic_store_explicit(&is_dying, false, memory_order_release);
	jump_out(arg);
}

static OOM_NOINLINE void end_by_abort(void)
{
	struct guard guard __attribute__((cleanup(guard_unwound))) = {.is_inside = false};

	flight_note(FLIGHT_KILL, SIGABRT, 0, (size_t)getpid(), NULL);
	guard_begin(&guard, call_off, NULL);
	abort();
}

/* What it takes of the stack is not under all that comes before. */
OOM_NOINLINE void own_end_act(enum oomreclaim_policy policy)
{
	struct guard guard __attribute__((cleanup(guard_unwound))) = {.is_inside = false};

	if (policy == OOMRECLAIM_POLICY_ABORT)
		end_by_abort();
	TRACE2(kill_self, getpid(), options.kill_signal);
	flight_note(FLIGHT_KILL, (unsigned)options.kill_signal, 0, (size_t)getpid(), NULL);
	/* Before the signal: its handler need not come back. */
	if (options.kill_signal != SIGKILL)
		arm_grace();
	guard_begin(&guard, jump_out, NULL);
	kill(getpid(), options.kill_signal);
	guard_end(&guard);
	/* Nothing outlives SIGKILL but the first process of a pid namespace, to which the kernel
	   does not deliver it from within. */
	if (options.kill_signal == SIGKILL)
		_exit(EXIT_OF_SIGNAL(SIGKILL));
}

void own_end_check_grace(void)
{
	uint64_t ends_ns = atomic_load_explicit(&grace_ends_ns, memory_order_relaxed);

	if (ends_ns != 0 && now_ns() > ends_ns)
		_exit(EXIT_OF_SIGNAL(SIGKILL));
}

void own_end_fork_child(void)
{
	fork_reset(is_dying, false);
	fork_reset(grace_ends_ns, 0);
}
