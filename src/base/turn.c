/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/turn.h"

void turn_lock(struct turn *turn)
{
	lock_take(&turn->lock);
}

void turn_unlock(struct turn *turn)
{
	lock_release(&turn->lock);
}

bool turn_take(struct turn *turn)
{
	if (turn->is_taken)
		return false;
	turn->is_taken = true;
	turn->owner = pthread_self();
	return true;
}

void turn_end(struct turn *turn)
{
	turn->is_taken = false;
	turn->ended++;
	pthread_cond_broadcast(&turn->done);
}

bool turn_wait(struct turn *turn, const struct timespec *deadline)
{
	uint64_t before = turn->ended;
	int error = 0;

	while (turn->is_taken && turn->ended == before && error == 0)
		error = deadline == NULL ? pthread_cond_wait(&turn->done, &turn->lock.mutex)
		                         : pthread_cond_clockwait(&turn->done, &turn->lock.mutex,
		                                                  CLOCK_MONOTONIC, deadline);
	return !turn->is_taken || turn->ended != before;
}

void turn_fork_child(struct turn *turn, bool keeps_own)
{
	turn->done = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
	if (!keeps_own || !pthread_equal(turn->owner, pthread_self()))
		turn->is_taken = false;
}
