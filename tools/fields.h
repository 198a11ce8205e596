/* SPDX-License-Identifier: BSD-2-Clause */
/* The counters by name, for JSON and for Prometheus. */
#ifndef FIELDS_H
#define FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "report/stats_layout.h"

struct field {
	const char *name;   /* of the member of struct oomreclaim_stats */
	const char *metric; /* oomreclaim_... */
	const char *type;   /* gauge or counter */
	const char *help;
	size_t offset;
};

extern const struct field fields[];
extern const size_t fields_count;

static inline uint64_t field_value(const struct field *field, const struct oomreclaim_stats *stats)
{
	return *(const uint64_t *)(const void *)((const char *)stats + field->offset);
}

#endif
