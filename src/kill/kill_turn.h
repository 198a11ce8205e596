/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which thread may kill, one at a time, and whether any may: the kernel's oom_lock and
 * oom_killer_disabled. The thread that has the turn also has what is static in the other files of
 * kill/.
 */
#ifndef OOM_KILL_TURN_H
#define OOM_KILL_TURN_H

#include <stdbool.h>

enum kill_turn {
	KILL_TURN_OURS,    /* kill_turn_end() is to follow */
	KILL_TURN_WAITED,  /* another thread had it, and is through */
	KILL_TURN_DISABLED /* oomreclaim_kill_disable() */
};

enum kill_turn kill_turn_begin(void);
void kill_turn_end(void);

/* False where it is disabled. Otherwise that stays as it is until kill_turn_release(). */
bool kill_turn_hold(void);
void kill_turn_release(void);

/* Takes no lock: the heap's own may be held. */
bool kill_is_disabled(void);

void kill_turn_fork_lock(void);
void kill_turn_fork_unlock(void);
void kill_turn_fork_child(void);

#endif
