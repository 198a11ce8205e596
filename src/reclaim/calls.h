/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls of the application's callbacks that are under way, reclaim's and the policy's, and the
 * threads that wait for the end of some. One lock for both kinds: threads that wait for each other
 * may be in one of each.
 *
 * The lock is taken last, and held for no call. errno is left alone.
 */
#ifndef OOM_CALLS_H
#define OOM_CALLS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Where it is called from is its thread's; the rest belongs to calls.c. */
struct call_under_way {
	struct call_under_way *next;
	uint64_t what;
	pthread_t thread;
};

/* What is called: a handle, the policy callback, or the function of a group. Each policy callback
   has a generation of its own. */
#define CALL_OF_POLICY(generation) ((uint64_t)1 << 62 | (generation))
/* The function of a group, which is known by its handle. */
#define CALL_OF_CANCEL(group) ((uint64_t)1 << 61 | (group))
#define CALL_OF_CANCEL_LAST (CALL_OF_POLICY(0) - 1)

void calls_begin(struct call_under_way *call, uint64_t what);
/* A call that has ended already is left alone. */
void calls_end(struct call_under_way *call);

/* Is the calling thread in that call? */
bool calls_is_own(uint64_t what);

/* Waits until none of the calls from `first` to `last` is under way; none of these may begin any
   more. Returns at once, with 0, where the calling thread is in one of them itself. EDEADLK where
   one of them waits for a call that this thread is in, itself or by way of others. */
int calls_wait(uint64_t first, uint64_t last);

/* The same for those on other threads, and no longer than to the deadline, by CLOCK_MONOTONIC:
   false where that came first. With cancellation off. */
bool calls_end_by(uint64_t first, uint64_t last, const struct timespec *deadline);

void calls_fork_lock(void);
void calls_fork_unlock(void);
/* Only the calls that the calling thread is in are left. */
void calls_fork_child(void);

#endif
