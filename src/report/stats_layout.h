/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page of counters that a process with stats:true shares: what the library writes and the
 * command `oomreclaim` reads.
 *
 * The page is a memfd of the process, STATS_PAGE_LINK in /proc/PID/fd. Users that may look there
 * (ptrace(2)'s read access: the same user, or root) may read the page. It is sealed: its size is
 * fixed and no other process can write to it. It goes with the process, however that ends, so a
 * page that can be read is never a stale one.
 *
 * magic, version and bytes have their places for ever; any other change of the layout is a new
 * version. A reader copies the page and takes it if `sequence` is the same before and after, and
 * even.
 */
#ifndef OOM_STATS_LAYOUT_H
#define OOM_STATS_LAYOUT_H

#include <stdatomic.h>

#include "base/flight.h"
#include "limits/total_layout.h"
#include "oomreclaim_group.h"

#define STATS_PAGE_NAME "oomreclaim-stats"
#define STATS_PAGE_LINK "/memfd:" STATS_PAGE_NAME " (deleted)"
#define STATS_PAGE_MAGIC "OOMSTATS"
#define STATS_PAGE_VERSION 8
#define CALLBACKS_SHOWN 40
#define STATS_PAGE_GROUPS 64
#define STATS_PAGE_PATH_MAX 255

/* By what pressure is known. */
enum stats_pressure {
	STATS_PRESSURE_NONE,
	STATS_PRESSURE_EVENT,  /* the source tells of it */
	STATS_PRESSURE_STALL,  /* PSI's total is looked at again and again */
	STATS_PRESSURE_EVENTS, /* memory.events and memory.current are */
	STATS_PRESSURE_USAGE   /* version 1's memory.failcnt and memory.usage_in_bytes are */
};

struct stats_page_callback {
	char name[OOMRECLAIM_NAME_MAX + 1];
	int32_t priority;
	uint32_t unused;
	uint64_t calls;
	uint64_t bytes_claimed;
	uint64_t bytes_measured;
	uint64_t longest_ns;
	/* Of a shrinker, as in struct oomreclaim_callback_stats. */
	uint64_t counts;
	uint64_t bytes_counted;
	uint64_t bytes_target; /* UINT64_MAX: there is no limit */
	uint64_t bytes_regretted;
};

/* Those with the most charged, in the order of a tree: a parent stands before its children, which
   are sorted by what is charged. */
struct stats_page_group {
	char name[OOMRECLAIM_GROUP_NAME_MAX + 1];
	uint64_t group; /* its handle */
	uint32_t depth; /* of the root's children 0 */
	uint32_t policy;
	int32_t score_adj;
	uint32_t is_cancelled; /* 1: it gets no page any more */
	uint64_t max, high;    /* UINT64_MAX: none */
	uint64_t low, min;
	struct oomreclaim_group_stats stats;
};

struct stats_page {
	char magic[8]; /* STATS_PAGE_MAGIC, without its NUL */
	uint32_t version;
	uint32_t bytes; /* of this struct */
	_Atomic uint64_t sequence;
	int32_t pid;          /* as its own pid namespace has it: of another, after a clone(2) */
	uint32_t interval_ms; /* it is brought up to date at least this often */
	char library[16];     /* its version */
	uint64_t updated_ns;  /* CLOCK_MONOTONIC */
	uint32_t policy;      /* enum oomreclaim_policy */
	uint32_t callbacks;   /* in the table below; stats.callbacks are all there are */
	uint32_t pressure;    /* enum stats_pressure */
	uint64_t growth;      /* of what is charged, in bytes a second; 0: none that is steady */
	char pressure_path[STATS_PAGE_PATH_MAX + 1];
	struct oomreclaim_stats stats;
	struct total_figures total;
	struct stats_page_callback callback[CALLBACKS_SHOWN];
	uint32_t groups;       /* in the table below */
	uint32_t groups_total; /* all there are */
	struct stats_page_group group[STATS_PAGE_GROUPS];
	/* Beside the sequence: each event has a number of its own, which is the same before and
	   after a reader has copied it. */
	struct flight flight;
};

#endif
