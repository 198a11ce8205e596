/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random sizes of which some survive: most blocks live shortly, one in eight goes to a table where
 * it stays for long and that all threads share, so that it is often freed by another one.
 * Fragmentation.
 */
#include "workload.h"

#include <stdatomic.h>

enum { SHORT_LIVED = 256, SURVIVORS = 1 << 14 };

static _Atomic(void *) survivors[SURVIVORS]; /* shared by all threads: that is the point */

static void run(struct worker *self)
{
	void *recent[SHORT_LIVED] = {NULL};

	for (uint64_t i = 0; i < self->rounds; i++) {
		size_t slot = i % SHORT_LIVED;

		if (random_next(self) >> 61 == 0) {
			size_t at = random_between(self, 0, SURVIVORS);

			recent[slot] = atomic_exchange(&survivors[at], recent[slot]);
		}
		free(recent[slot]);
		recent[slot] = take(self, random_size(self, 4, 15));
	}
	for (size_t i = 0; i < SHORT_LIVED; i++)
		free(recent[i]);
}

static void finish(void)
{
	for (size_t i = 0; i < SURVIVORS; i++)
		free(atomic_exchange(&survivors[i], NULL));
}

const struct workload survivors_workload = {.name = "survivors",
                                            .rounds = 4000000,
                                            .run = run,
                                            .finish = finish};
