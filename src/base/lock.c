/* SPDX-License-Identifier: BSD-2-Clause */
/* Only in the debug library. */
#include "base/lock.h"

/* A bit for each rank that the calling thread holds. */
static OOM_TLS unsigned held;

void lock_check(enum lock_rank rank)
{
	oom_assert(held >> rank == 0);
}

void lock_note(enum lock_rank rank, bool is_held)
{
	oom_assert(((held >> rank & 1) != 0) != is_held);
	held ^= 1U << rank;
}
