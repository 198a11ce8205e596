/* SPDX-License-Identifier: BSD-2-Clause */
/* Large blocks: 32 KiB to 8 MiB, each page touched, of which a few live at a time. */
#include "workload.h"

enum { LIVE = 8 };

static void run(struct worker *self)
{
	void *live[LIVE] = {NULL};

	for (uint64_t i = 0; i < self->rounds; i++) {
		size_t slot = random_between(self, 0, LIVE);

		free(live[slot]);
		live[slot] = take(self, random_size(self, 15, 22));
	}
	for (size_t i = 0; i < LIVE; i++)
		free(live[i]);
}

const struct workload large_workload = {.name = "large", .rounds = 60000, .run = run};
