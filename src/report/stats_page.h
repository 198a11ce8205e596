/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The setting stats:true: a page of counters that other processes can read, see stats_layout.h.
 * Without it there is no page, no descriptor, and no call of the system.
 *
 * The page is brought up to date every STATS_PAGE_INTERVAL_MS by oomreclaimd, by threads that
 * allocate as long as there is no oomreclaimd, and when a failure has ended.
 */
#ifndef OOM_STATS_PAGE_H
#define OOM_STATS_PAGE_H

#include <stdbool.h>

#include "config/options.h"

#include "report/stats_layout.h"

struct own_fd;

#define STATS_PAGE_INTERVAL_MS 1000

/* By what pressure is known from now on, for the page. The path, cut, is copied; NULL is none. */
void stats_page_note_pressure(enum stats_pressure pressure, const char *path);

/* At once; makes the page where there is none and the process has one thread. 0, or -errno. Not
   with any lock of the heap held. Where another thread is at it there is nothing to do. */
int stats_page_write(void);

static inline void stats_page_update(void)
{
	if (options.is_stats)
		(void)stats_page_write();
}

/* At once, but not much more often than it pays: for what may happen a million times a second. */
void stats_page_write_soon(void);

static inline void stats_page_update_if_due(void)
{
	if (options.is_stats)
		stats_page_write_soon();
}

/* A program may take its memory within milliseconds, and then rest for good: there is no thread to
   write later what it has come to. Where oomreclaimd is not due yet, one thread at a time calls
   this as it comes by. */
void stats_page_show_growth(void);

/* True if a page is to be made by a thread with a table of descriptors of its own. */
bool stats_page_is_wanting(void);

/* For that thread: what to keep of the program's table, then the page itself, if there is to be
   one. */
struct own_fd *stats_page_file(void);
void stats_page_hold(void);
bool stats_page_is_held(void);

/* The parent's page is not the child's; oomreclaimd makes it one when it starts there. */
void stats_page_fork_child(void);

#endif
