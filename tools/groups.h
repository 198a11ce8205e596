/* SPDX-License-Identifier: BSD-2-Clause */
/* The groups of a page, for JSON and for Prometheus. */
#ifndef GROUPS_H
#define GROUPS_H

#include <stddef.h>
#include <stdio.h>

#include "report/stats_layout.h"

/* Two members of an object, without a comma before them. */
void groups_json(const struct stats_page *page);

/* The metrics that there are of each group. A process's lines, which begin with its
   labels. */
extern const size_t groups_metrics_count;
void groups_metric_head(FILE *to, size_t metric);
void groups_metric(FILE *to, size_t metric, const struct stats_page *page, const char *labels);

#endif
