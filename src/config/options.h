/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything that a user can set: one table, one struct.
 *
 * Loaded twice: silently at the moment jemalloc reads its own configuration, which may be before
 * any constructor has run; and once more before main(), when complaints can be printed.
 */
#ifndef OOM_OPTIONS_H
#define OOM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oomreclaim.h"

#define OPTIONS_PATH_MAX 255

/* When the report is written: always, never, or if the policy is about to end the process. */
enum report_when { REPORT_AUTO, REPORT_ALWAYS, REPORT_NEVER };

/* The processes among which policy kill chooses. */
enum kill_target { KILL_SELF, KILL_CHILDREN, KILL_PGROUP, KILL_CGROUP };

/* Of the debug library alone: what is done about a possible deadlock. */
enum lock_check { LOCK_CHECK_WARN, LOCK_CHECK_ABORT, LOCK_CHECK_OFF };

/* Bytes, or if they are 0 per cent of the limit; both 0: off. */
struct watermark {
	size_t bytes;
	unsigned percent;
};

/* From which on callbacks are told a level. */
struct level_thresholds {
	/* Per cent of the nearest limit that are left: below. */
	unsigned left_low, left_medium, left_critical;
	/* Rounds already made for one request: from there on. */
	unsigned rounds_medium, rounds_critical;
};

struct options {
	enum oomreclaim_policy policy;
	enum kill_target kill_target;
	int kill_signal;
	uint64_t kill_grace_ms;   /* then SIGKILL */
	bool is_kill_group;       /* the victim's memory cgroup goes with it */
	uint64_t cancel_grace_ms; /* until another group may be cancelled */
	size_t limit_bytes;       /* SIZE_MAX: none */
	bool is_limit_auto;
	unsigned limit_margin_percent;
	struct watermark high; /* above it oomreclaimd begins */
	struct watermark low;  /* below it it ends */
	struct level_thresholds levels;
	char pressure_path[OPTIONS_PATH_MAX + 1]; /* "": off; "auto" */
	size_t reserve_bytes;
	uint64_t wait_ms;
	uint64_t nofail_ms;  /* 0: for ever */
	size_t costly_bytes; /* the largest request for which the policy may act */
	enum report_when report;
	bool is_verbose;
	bool is_strict;
	bool is_stats;                        /* a page of counters for others to read */
	bool is_control;                      /* commands are taken */
	char log_path[OPTIONS_PATH_MAX + 1];  /* "": stderr */
	char dump_path[OPTIONS_PATH_MAX + 1]; /* "": no dump */
	size_t dump_max_bytes;
	bool is_dump_high; /* written where the watermark high is crossed as well */
	char modules[OPTIONS_PATH_MAX + 1]; /* "": none */
	bool is_deepbind;                   /* RTLD_DEEPBIND is left as it is */
	struct oomreclaim_fault fail_page;
#ifdef OOM_DEBUG
	struct oomreclaim_fault fail_malloc;
	char fail_malloc_caller[OPTIONS_PATH_MAX + 1]; /* "": any */
	enum lock_check lock_check;
	bool is_dry_run;
	bool is_block_check;
	bool is_block_stacks;
	size_t block_quarantine_bytes;
#endif
};

/* What is in force. Changed only by options_load(), while there is one thread. */
extern struct options options;

/* A pair that was ignored. */
struct options_error {
	const char *source; /* "OOMRECLAIM_CONF", "oomreclaim_conf", or "settings": of both */
	const char *pair;   /* not terminated */
	int pair_length;
	const char *problem;
	const char *suggestion; /* what was probably meant, or NULL */
};

/* One row of the table, to be printed. */
struct option {
	const char *key;
	const char *default_text;
	const char *range;
	const char *meaning;
};

/* Sets everything to its default, then applies oomreclaim_conf and, unless the program runs with
   privileges that its caller lacks, OOMRECLAIM_CONF. Errors go to `complain` if there is one.
   Returns how many pairs were ignored. */
unsigned options_load(void (*complain)(const struct options_error *error));

/* Applies one string, or none where it is NULL, to `set`. */
unsigned options_apply(const char *source, const char *text, struct options *set,
                       void (*complain)(const struct options_error *error));

/* Row `index` of the table; false behind the last. */
bool options_describe(unsigned index, struct option *option);

/* "KILL" for SIGKILL; "?" for a signal that has no name here. */
const char *options_signal_name(int signal);

#endif
