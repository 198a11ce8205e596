/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library's own mutexes, in the order in which they are taken. The debug library checks it at
 * every acquisition, as jemalloc's witness does for the heap's. docs/design.md says what each
 * guards.
 */
#ifndef OOM_LOCK_H
#define OOM_LOCK_H

#include <pthread.h>

#include "base/assert.h"
#include "base/base.h"

/* A thread takes a lock only while it holds none of the same rank or of a later one. The heap's
   locks come after all of these: no malloc() with one of them held but in fork(), which takes
   all. */
enum lock_rank {
	LOCK_KILLER,             /* kill_turn.c */
	LOCK_REPORT,             /* report.c */
	LOCK_POLICY,             /* policy.c */
	LOCK_RECLAIM_DIRECT,     /* reclaim.c: rounds by threads that allocate */
	LOCK_RECLAIM_BACKGROUND, /* and by oomreclaimd */
	LOCK_RECLAIM_GROUP,      /* and for a group's max */
	LOCK_PURGEABLE,          /* purgeable.c */
	LOCK_GROUPS,             /* group.c */
	LOCK_REGISTRY,           /* registry.c */
	LOCK_CALLS,              /* calls.c */
	LOCK_RANKS
};

struct lock {
	pthread_mutex_t mutex;
	enum lock_rank rank; /* constant */
};

#define LOCK_INITIALIZER(of)                                     \
	{                                                        \
		.mutex = PTHREAD_MUTEX_INITIALIZER, .rank = (of) \
	}

#ifdef OOM_DEBUG
void lock_check(enum lock_rank rank);
void lock_note(enum lock_rank rank, bool is_held);
#else
#define lock_check(rank) ((void)0)
#define lock_note(rank, is_held) ((void)0)
#endif

static inline void lock_take(struct lock *lock)
{
	lock_check(lock->rank);
	pthread_mutex_lock(&lock->mutex);
	lock_note(lock->rank, true);
}

static inline void lock_release(struct lock *lock)
{
	lock_note(lock->rank, false);
	pthread_mutex_unlock(&lock->mutex);
}

#endif
