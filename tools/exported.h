/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the exporter shows, and under which labels. These survive a restart: command, unit and
 * cgroup. Several processes may have the same ones, and series that are equal are an error, so
 * there is a fourth: slot, the lowest number that none of the others has. A process keeps it
 * until it ends, and the next one with the same labels takes it.
 */
#ifndef EXPORTED_H
#define EXPORTED_H

#include <stddef.h>

/* All processes that may be looked at, as metrics, and as what web.html shows: a list of objects,
   each with the last of its events as lines of text. NULL where there is no memory; to be freed. */
char *exported_metrics(size_t *bytes);
char *exported_json(size_t *bytes);

#endif
