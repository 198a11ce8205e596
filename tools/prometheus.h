/* SPDX-License-Identifier: BSD-2-Clause */
/* Prometheus's text format, for `oomreclaim stat --prometheus` and `oomreclaim export`. */
#ifndef PROMETHEUS_H
#define PROMETHEUS_H

#include <stddef.h>
#include <stdio.h>

#include "report/stats_layout.h"

struct prometheus_process {
	const char *labels; /* name="value",...: no other process has the same */
	const struct stats_page *page;
};

/* The lines in front of a metric's series. */
void prometheus_head(FILE *to, const char *metric, const char *type, const char *help);

/* All of it, metric by metric. */
void prometheus_print(FILE *to, const struct prometheus_process *processes, size_t count);

#endif
