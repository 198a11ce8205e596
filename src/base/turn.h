/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One thread at a time does something, and the threads that come meanwhile wait for its end: the
 * kernel's oom_lock, but with a wait. Used by the rounds of callbacks and by the killer.
 *
 * The turn's lock guards it, and what else belongs to it. All functions but turn_lock() are called
 * with the lock held; it is not held while the turn is under way.
 */
#ifndef OOM_TURN_H
#define OOM_TURN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/lock.h"

/* All members are guarded by lock. */
struct turn {
	struct lock lock;
	pthread_cond_t done;
	bool is_taken;
	pthread_t owner; /* valid while is_taken */
	uint64_t ended;  /* turns */
};

#define TURN_INITIALIZER(rank)                                                   \
	{                                                                        \
		.lock = LOCK_INITIALIZER(rank), .done = PTHREAD_COND_INITIALIZER \
	}

void turn_lock(struct turn *turn);
void turn_unlock(struct turn *turn);

/* True if the calling thread has the turn now, and is to end it; false where another has it. */
bool turn_take(struct turn *turn);
void turn_end(struct turn *turn);

/* Waits for the end of the turn that is under way; if none is, returns at once. False where the
   deadline, by CLOCK_MONOTONIC, came first; NULL: there is none. */
bool turn_wait(struct turn *turn, const struct timespec *deadline);

/* In the child of a fork, with the lock held: of the threads that waited none is left. The turn of
   a thread that is not there has ended, unless keeps_own and it is the calling thread's. */
void turn_fork_child(struct turn *turn, bool keeps_own);

#endif
