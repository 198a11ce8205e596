/* SPDX-License-Identifier: BSD-2-Clause */
/* What counts against the limit now, in bytes. */
#ifndef CHARGED_H
#define CHARGED_H

#include "check.h"
#include "oomreclaim.h"

static inline size_t charged(void)
{
	struct oomreclaim_limit_stats stats;

	CHECK_EQ(oomreclaim_limit_stats(&stats, sizeof stats), 0);
	return stats.charged;
}

#endif
