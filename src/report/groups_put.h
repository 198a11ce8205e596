/* SPDX-License-Identifier: BSD-2-Clause */
/* Groups as text: a table of the report, and a section for malloc_stats_print(). */
#ifndef OOM_GROUPS_PUT_H
#define OOM_GROUPS_PUT_H

#include <stdbool.h>

#include "base/io.h"
#include "limits/group_list.h"

/* As group_lines(), with `allocated`. */
unsigned groups_gather(unsigned in, struct group_line *lines, unsigned count, unsigned *total);

/* A table of the group and its descendants; 0: of all, and nothing where there is none. `lines` is
   room to work in. */
void groups_put_table(struct io_buf *buf, unsigned in, struct group_line *lines, unsigned count);

/* A line for each, or JSON: two more members of an object, behind a comma. At most sixteen of
   them. */
void groups_put_stats(struct io_buf *buf, bool is_json);

#endif
