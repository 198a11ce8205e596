/* SPDX-License-Identifier: BSD-2-Clause */
#include "reclaim/calls.h"

#include <errno.h>
#include <stddef.h>

#include "base/fork_data.h"
#include "base/lock.h"

/* A thread that waits, on its own stack: it does not leave before it has been taken out. */
struct wait {
	struct wait *next;
	pthread_t thread;
	uint64_t first, last;
	bool is_circular; /* see closes_circle() */
};

/* One of the process, since circles go through both kinds of calls. All members are guarded by
   lock. */
static OOM_FORK_DATA struct {
	struct lock lock;
	pthread_cond_t ended; /* a call has */
	struct call_under_way *first;
	struct wait *waits;
} calls = {.lock = LOCK_INITIALIZER(LOCK_CALLS), .ended = PTHREAD_COND_INITIALIZER};

void calls_begin(struct call_under_way *call, uint64_t what)
{
	call->what = what;
	call->thread = pthread_self();
	lock_take(&calls.lock);
	call->next = calls.first;
	calls.first = call;
	lock_release(&calls.lock);
}

void calls_end(struct call_under_way *call)
{
	struct call_under_way **link = &calls.first;

	lock_take(&calls.lock);
	while (*link != NULL && *link != call)
		link = &(*link)->next;
	if (*link != NULL)
		*link = call->next;
	pthread_cond_broadcast(&calls.ended);
	lock_release(&calls.lock);
}

/* With the lock held, as are all below: the first from `call` on that is one of first..last. */
static struct call_under_way *find(struct call_under_way *call, uint64_t first, uint64_t last)
{
	while (call != NULL && (call->what < first || call->what > last))
		call = call->next;
	return call;
}

/* Is one of them on the calling thread, or, without is_own, on another? */
static bool is_there(uint64_t first, uint64_t last, bool is_own)
{
	struct call_under_way *call = find(calls.first, first, last);

	while (call != NULL && (pthread_equal(call->thread, pthread_self()) != 0) != is_own)
		call = find(call->next, first, last);
	return call != NULL;
}

bool calls_is_own(uint64_t what)
{
	bool is_own;

	lock_take(&calls.lock);
	is_own = is_there(what, what, true);
	lock_release(&calls.lock);
	return is_own;
}

/* Can the call not end before the calling thread goes on? */
static bool is_held_up(const struct call_under_way *call)
{
	if (pthread_equal(call->thread, pthread_self()))
		return true;
	for (const struct wait *wait = calls.waits; wait != NULL; wait = wait->next)
		if (wait->is_circular && pthread_equal(wait->thread, call->thread))
			return true;
	return false;
}

/* Waits that lead back to the calling thread are marked, those next to it first, until there are no
   more. True if `own` is one of them. */
static bool closes_circle(const struct wait *own)
{
	bool has_grown = true;

	for (struct wait *wait = calls.waits; wait != NULL; wait = wait->next)
		wait->is_circular = false;
	while (has_grown && !own->is_circular) {
		has_grown = false;
		for (struct wait *wait = calls.waits; wait != NULL; wait = wait->next) {
			struct call_under_way *call = find(calls.first, wait->first, wait->last);

			while (call != NULL && !is_held_up(call))
				call = find(call->next, wait->first, wait->last);
			has_grown |= call != NULL && !wait->is_circular;
			wait->is_circular |= call != NULL;
		}
	}
	return own->is_circular;
}

static void forget(const struct wait *own)
{
	struct wait **link = &calls.waits;

	while (*link != NULL && *link != own)
		link = &(*link)->next;
	if (*link != NULL)
		*link = own->next;
}

int calls_wait(uint64_t first, uint64_t last)
{
	struct wait own = {.thread = pthread_self(), .first = first, .last = last};
	int cancel_state, error = 0;

	/* Cancelled in the wait, the thread would leave the lock held. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	lock_take(&calls.lock);
	own.next = calls.waits;
	calls.waits = &own;
	if (!is_there(first, last, true)) {
		if (closes_circle(&own))
			error = EDEADLK;
		while (error == 0 && find(calls.first, first, last) != NULL)
			pthread_cond_wait(&calls.ended, &calls.lock.mutex);
	}
	forget(&own);
	lock_release(&calls.lock);
	pthread_setcancelstate(cancel_state, NULL);
	return error;
}

bool calls_end_by(uint64_t first, uint64_t last, const struct timespec *deadline)
{
	bool has_ended;
	int error = 0;

	lock_take(&calls.lock);
	while (error == 0 && is_there(first, last, false))
		error = pthread_cond_clockwait(&calls.ended, &calls.lock.mutex, CLOCK_MONOTONIC,
		                               deadline);
	has_ended = !is_there(first, last, false);
	lock_release(&calls.lock);
	return has_ended;
}

void calls_fork_lock(void)
{
	lock_take(&calls.lock);
}

void calls_fork_unlock(void)
{
	lock_release(&calls.lock);
}

void calls_fork_child(void)
{
	struct call_under_way **link = &calls.first;

	while (*link != NULL)
		if (pthread_equal((*link)->thread, pthread_self()))
			link = &(*link)->next;
		else
			*link = (*link)->next;
	/* The threads that waited are in the parent. */
	calls.waits = NULL;
	calls.ended = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
}
