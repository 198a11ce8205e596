/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What processes share by `oomreclaim run --total`, as metrics. A total is one series, however many
 * processes share it, with the labels of the first of these. What each of them has in it is a
 * metric of its own.
 */
#ifndef PROMETHEUS_TOTALS_H
#define PROMETHEUS_TOTALS_H

#include "prometheus.h"

/* The oldest process of a total has to stand before the others. */
void prometheus_totals(FILE *to, const struct prometheus_process *processes, size_t count);

#endif
