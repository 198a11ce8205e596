/* SPDX-License-Identifier: BSD-2-Clause */
#include "kill/kill_turn.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "base/fork_data.h"
#include "base/turn.h"
#include "limits/group_victim.h"
#include "oomreclaim.h"
#include "reclaim/calls.h"

static OOM_FORK_DATA struct turn killer = TURN_INITIALIZER(LOCK_KILLER);

/* How often the killer was disabled. Written under the turn's lock, and read without: that may be
   where the heap's own locks are held. Relaxed: it stands for itself alone. */
static atomic_uint disabled;

bool kill_is_disabled(void)
{
	return atomic_load_explicit(&disabled, memory_order_relaxed) > 0;
}

enum kill_turn kill_turn_begin(void)
{
	enum kill_turn result = KILL_TURN_OURS;

	turn_lock(&killer);
	if (kill_is_disabled()) {
		result = KILL_TURN_DISABLED;
	} else if (!turn_take(&killer)) {
		/* Bounded: a turn waits for its victim about twice kill_grace_ms. */
		turn_wait(&killer, NULL);
		result = KILL_TURN_WAITED;
	}
	turn_unlock(&killer);
	return result;
}

void kill_turn_end(void)
{
	turn_lock(&killer);
	turn_end(&killer);
	turn_unlock(&killer);
}

bool kill_turn_hold(void)
{
	turn_lock(&killer);
	if (!kill_is_disabled())
		return true;
	turn_unlock(&killer);
	return false;
}

void kill_turn_release(void)
{
	turn_unlock(&killer);
}

/* No group is chosen any more. Without the turn's lock: the function of a group may want that lock,
   and its end is waited for. */
static bool end_cancels(const struct timespec *deadline)
{
	group_victim_take_back();
	return calls_end_by(CALL_OF_CANCEL(0), CALL_OF_CANCEL_LAST, deadline);
}

OOM_EXPORT bool oomreclaim_kill_disable(unsigned timeout_ms)
{
	const struct timespec deadline = timespec_of_ns(now_ns() + timeout_ms * NSEC_PER_MSEC);
	int cancel_state;
	bool is_idle;

	/* Cancelled in the wait, the thread would leave the lock held. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	turn_lock(&killer);
	/* From now on no turn begins: there is one to wait for at most. */
	disabled++;
	is_idle = turn_wait(&killer, &deadline);
	turn_unlock(&killer);
	is_idle = is_idle && end_cancels(&deadline);
	turn_lock(&killer);
	if (!is_idle)
		disabled--;
	turn_unlock(&killer);
	pthread_setcancelstate(cancel_state, NULL);
	return is_idle;
}

OOM_EXPORT int oomreclaim_kill_enable(void)
{
	int error = EINVAL;

	turn_lock(&killer);
	if (kill_is_disabled()) {
		disabled--;
		error = 0;
	}
	turn_unlock(&killer);
	return error;
}

void kill_turn_fork_lock(void)
{
	turn_lock(&killer);
}

void kill_turn_fork_unlock(void)
{
	turn_unlock(&killer);
}

void kill_turn_fork_child(void)
{
	turn_fork_child(&killer, false);
}
