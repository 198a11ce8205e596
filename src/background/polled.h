/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pressure where nothing can be written to: a container's cgroupfs is mounted for reading alone,
 * and takes no trigger. Files are looked at instead, the more often the faster what they say grows:
 * PSI's total; or how near a group is to its limit, and how often it has met that.
 *
 * One in a process, used by the thread that uses pressure.h.
 */
#ifndef OOM_BACKGROUND_POLLED_H
#define OOM_BACKGROUND_POLLED_H

#include <stdbool.h>

#include "background/pressure.h"
#include "base/io.h"
#include "report/stats_layout.h"

/* Begins with PSI's open file, for what a trigger would wait for. False if the file is none, or the
   trigger is not understood. */
bool polled_begin_stall(int fd, const char *trigger);

/* Appends the path of the file that counts how often the own group, or the first one above it that
   has a limit, has met its limit. False if none has. */
bool polled_find_group(struct io_buf *path);
/* Begins with that file, open. False if it is not understood. */
bool polled_begin_group(int fd);

void polled_end(void);

/* STATS_PRESSURE_NONE: nothing is polled. */
enum stats_pressure polled_means(void);

/* What poll() is asked for: the kernel tells of a change of memory.events. */
short polled_events(void);

/* Until it is to be looked at. */
int polled_wait_ms(void);

enum pressure_news polled_look(int fd);

#endif
