/* SPDX-License-Identifier: BSD-2-Clause */
/* The processes that share statistics, as rows and columns: what is shown, and in which order. */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "report/stats_layout.h"

#define COMMAND_BYTES 256
#define FILTER_BYTES 64

enum column {
	COLUMN_PID,
	COLUMN_TREE, /* what is charged in it and in all below it; shown as a tree alone */
	COLUMN_CHARGED,
	COLUMN_SHARE, /* of its limit */
	COLUMN_LIMIT,
	COLUMN_LEFT, /* until the limit is met */
	COLUMN_RESIDENT,
	COLUMN_ALLOCATED,
	COLUMN_FAILED,
	COLUMN_REFUSED,
	COLUMN_KILLS,
	COLUMN_LAST,
	COLUMN_COMMAND, /* the last one, as wide as is left */
	COLUMNS_COUNT
};

struct row {
	pid_t pid;
	struct oomreclaim_stats stats;
	uint64_t left_s;             /* UINT64_MAX: no saying */
	char command[COMMAND_BYTES]; /* with its arguments */
	size_t parent;               /* its row, or SIZE_MAX; these three are of the tree */
	unsigned depth;
	uint64_t tree_charged;
};

/* How it is to be shown. */
struct order {
	enum column by;
	bool is_inverted;
	bool is_tree;
	char filter[FILTER_BYTES]; /* what the command has in it, in capitals or not; "" is all */
};

#define TOTALS_MAX 4

struct table {
	struct row *rows;
	size_t count;
	struct total_figures
		totals[TOTALS_MAX];     /* that processes share, whether they are rows or not */
	uint64_t totals_ns[TOTALS_MAX]; /* when they were so */
	size_t totals_count;
	uint64_t charged, failures, refused; /* of all rows */
};

/* Reads all pages again, and keeps those rows that the filter wants, in order. */
void table_read(struct table *table, const struct order *order);

/* The columns that fit into so many characters, of which the command has 14 at least: true for each
   that is shown. Which go first, where it is narrow, is decided here. */
void table_columns(int width, bool is_tree, bool is_shown[COLUMNS_COUNT]);

/* Its head, and how wide it is; of the command 0. */
const char *column_head(enum column column);
int column_width(enum column column);

/* What stands in it. */
void column_text(enum column column, const struct row *row, char *text, size_t bytes);

/* From 0 to 100 and above; -1 without a limit. */
int row_share(const struct row *row);

#endif
