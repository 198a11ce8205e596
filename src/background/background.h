/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * oomreclaimd, the kernel's kswapd: a thread that reclaims before an allocation has to, above the
 * setting high or when the system reports memory pressure. With stats:true it also keeps the page
 * of counters up to date. There is none in a program that has set none of these, or has nothing to
 * reclaim.
 */
#ifndef OOM_BACKGROUND_H
#define OOM_BACKGROUND_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"

/* The thread is needed and does not run. Relaxed: it is looked at again and again. */
extern atomic_bool background_is_wanted;

/* Takes over the settings, and opens the source of pressure. */
void background_init(void);

/* Starts the thread if it is due; else sees to the page of counters. It allocates, and reads the
   heap's figures: where the heap itself has called out, it does nothing. */
void background_start(void);

/* Called on the slow paths of malloc, where the call holds no lock: the budget wants the thread
   where it can't be started. */
static inline void background_start_if_wanted(void)
{
	if (unlikely(atomic_load_explicit(&background_is_wanted, memory_order_relaxed)))
		background_start();
}

/* A callback has been registered, so there is something to reclaim. Nor with any lock of ours
   held. */
void background_note_callback(void);

/* A group has a function that is called on the thread where the group is cancelled. Nor with any
   lock of ours held. */
void background_note_cancel(void);

/* That such a function is to be called; false: there is no thread. With any lock. */
bool background_cancel(void);

/* Called by budget_commit_charge() above the watermark, and where budget_charge() is refused. Locks
   of the heap are held. */
void background_wake(void);

/* What room.h is for is due on the thread: starts it if there is none. Nor with any lock held. */
void background_look(void);

/* At the end of the process: no new round; one under way gets a moment to end, since the program's
   destructors are about to run. */
void background_stop(void);

/* On oomreclaimd: the end of the process has begun. */
bool background_is_stopping(void);

void background_fork_child(void);

#endif
