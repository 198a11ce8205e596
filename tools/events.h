/* SPDX-License-Identifier: BSD-2-Clause */
/* The flight recorder's events, for people and as JSON. */
#ifndef EVENTS_H
#define EVENTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "report/stats_layout.h"

bool events_any(const struct stats_page *page);

/* The last `count` of them, the oldest first; a line each. */
void events_view(FILE *to, const struct stats_page *page, size_t count);

/* Those up to number `until` alone, and those behind it. */
void events_view_until(FILE *to, const struct stats_page *page, uint64_t until, size_t count);
void events_view_after(FILE *to, const struct stats_page *page, uint64_t after, size_t count);

/* All of them, as a list of objects. */
void events_json(const struct stats_page *page);

#endif
