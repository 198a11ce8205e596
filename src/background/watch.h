/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The thread oomreclaim-poll: it waits for the source of memory pressure, keeps the page of
 * counters and hears commands, and has a table of descriptors of its own for all three. There is
 * none where nothing of that is asked for, nor for a page that the program leaves alone.
 */
#ifndef OOM_BACKGROUND_WATCH_H
#define OOM_BACKGROUND_WATCH_H

#include <stdbool.h>

/* The reasons for which oomreclaim-poll wakes oomreclaimd. */
#define WATCH_PRESSURE 2U
#define WATCH_ENDED 4U
#define WATCH_CONTROL 32U

/* Looks for the source in the program's table, where that is safe, so that what is wrong with it
   is said at the start, and so that it is open when the program drops its privileges. */
void watch_try(void);

/* True if there is a source, or may be one. */
bool watch_is_wanted(void);

/* Starts the thread if it is needed. On oomreclaimd alone. */
void watch_start(void);

/* No thread could be started to poll: says so, once, and closes the sources, to be opened anew. */
void watch_give_up(void);

/* Says why oomreclaim-poll has ended. Called on another thread: the table of descriptors of
   oomreclaim-poll has no standard error. */
void watch_say_end(void);

void watch_fork_child(void);

#endif
