/* SPDX-License-Identifier: BSD-2-Clause */
/* How short memory is, in the levels that callbacks are told. */
#ifndef OOM_LEVEL_H
#define OOM_LEVEL_H

#include "config/options.h"
#include "reclaim/reclaim.h"

/* What it is made of. */
struct level_facts {
	enum oomreclaim_reason reason;
	unsigned attempt;      /* rounds already made for a request that fails */
	bool is_shared;        /* that request met a limit that others are under as well */
	bool is_pressing;      /* the system has reported pressure lately */
	unsigned left_percent; /* of the nearest limit; 100: there is none */
};

enum oomreclaim_level level_of(const struct level_facts *facts,
                               const struct level_thresholds *thresholds);

/* Of a round that begins now. */
enum oomreclaim_level level_now(const struct reclaim_request *request);

/* By what is known now, where nothing fails. */
enum oomreclaim_level level_by_rest(void);

/* The system has reported pressure. */
void level_note_pressure(void);

#endif
