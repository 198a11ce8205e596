/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where memory pressure is reported: systemd's protocol ($MEMORY_PRESSURE_WATCH and
 * $MEMORY_PRESSURE_WRITE), PSI of the own cgroup or of the machine, or version 1's
 * memory.pressure_level; and what polled.h looks at where nothing can be written. One source in a
 * process, used by one thread.
 */
#ifndef OOM_PRESSURE_H
#define OOM_PRESSURE_H

#include <stdbool.h>

#include "report/stats_layout.h"

struct own_fd;

/* Reads systemd's variables, before main(): what the program does to its environment later changes
   nothing, and must not be looked at while it does. */
void pressure_init(void);

/* Opens what the setting `pressure` names. 0; -ENODEV where there is nothing to watch or the user
   wants none; another -errno. *path says of what, and stays valid. */
int pressure_open(const char **path);

/* True if the settings ask for a source. */
bool pressure_is_wanted(void);

/* True from pressure_open() to pressure_close(). */
bool pressure_is_open(void);

/* By what it is known: report/stats_layout.h. */
enum stats_pressure pressure_means(void);

/* Until the source is to be looked at without an event, by pressure_take(0); -1: never. */
int pressure_wait_ms(void);

/* For poll(), with nothing to wait for where pressure_events() is 0. -1 while no source is open, or
   where the program has closed it. */
int pressure_fd(void);
short pressure_events(void);

enum pressure_news {
	PRESSURE_GONE, /* the other end has closed it, or it fails: it is to be closed */
	PRESSURE_NONE, /* a false event */
	PRESSURE_FELT
};

/* Takes the event off, given what poll() said. */
enum pressure_news pressure_take(short revents);

/* In the table in which it was opened, and where no other thread uses that. */
void pressure_close(void);

/* True if what is open can be told from what the program may open in its place. */
bool pressure_is_distinct(void);

/* The calling thread is about to have a table of its own: what of the open source is to be kept
   there. The one in the program's table is not touched any more. */
struct own_fd *pressure_leave_behind(void);

/* Closes what the parent has opened in the program's table. */
void pressure_fork_child(void);

#endif
