/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long tasks have stalled, as PSI counts it. A trigger's first event can be a false one: the
 * kernel's first look at a trigger of an unprivileged process counts all stall since boot (seen
 * with Linux 6.18), and half of that goes into its second window. So what is believed is the
 * file's own total, against the total when it was opened.
 */
#ifndef OOM_BACKGROUND_STALL_H
#define OOM_BACKGROUND_STALL_H

#include <stdbool.h>
#include <stdint.h>

struct stall {
	bool is_known; /* there is a total */
	bool is_full;  /* all tasks have to stall, not some */
	uint64_t least_us;
	uint64_t window_us;
	uint64_t before_us; /* the total when it was enough last, or at the beginning */
};

/* `trigger` is what the file is told: "some 200000 2000000", say. */
void stall_begin(struct stall *stall, int fd, const char *trigger);

/* The total by now. False if there is none. */
bool stall_read(const struct stall *stall, int fd, uint64_t *total_us);

/* True if as much has come since as the trigger asks for, or if nobody can tell. */
bool stall_is_enough(struct stall *stall, int fd);

#endif
