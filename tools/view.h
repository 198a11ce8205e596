/* SPDX-License-Identifier: BSD-2-Clause */
/* A page of counters for people. */
#ifndef VIEW_H
#define VIEW_H

#include <stdio.h>
#include <sys/types.h>

#include "report/stats_layout.h"

/* "served" and so on; "return" and so on; "?" for what is neither. */
const char *view_outcome(uint32_t outcome);
const char *view_level(uint64_t level);
const char *view_policy(uint32_t policy);
/* "event", "stall" and so on: by what pressure is known. */
const char *view_pressure(uint32_t pressure);

/* How old it is. */
uint64_t view_age_ms(const struct stats_page *page);

/* Until the limit is met, if what is charged grows as in the last minute; UINT64_MAX where there is
   no limit, no such growth, or more than a week. */
uint64_t view_left_s(const struct stats_page *page);
/* "3m20s", "5h12m"; "-" for UINT64_MAX. Valid until the next call. */
const char *view_time(uint64_t seconds);

/* All of it, in some ten lines and one for each callback and each group. */
void view_process(FILE *to, pid_t pid, const struct stats_page *page);

/* One line for each total that processes share. */
void view_totals(FILE *to, const struct total_figures *totals, size_t count);

/* One line for each process, below a line of heads. */
void view_head(FILE *to);
void view_line(FILE *to, pid_t pid, const struct stats_page *page);

#endif
