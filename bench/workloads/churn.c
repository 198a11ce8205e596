/* SPDX-License-Identifier: BSD-2-Clause */
/* Thread-local churn: each thread replaces small blocks of its own, in no order. */
#include "workload.h"

enum { SLOTS = 4096 };

static void run(struct worker *self)
{
	void **slots = calloc(SLOTS, sizeof(*slots));

	if (!slots) {
		self->failed++;
		return;
	}
	for (uint64_t i = 0; i < self->rounds; i++) {
		size_t slot = random_between(self, 0, SLOTS);

		free(slots[slot]);
		slots[slot] = take(self, random_size(self, 3, 10));
	}
	for (size_t i = 0; i < SLOTS; i++)
		free(slots[i]);
	free(slots);
}

const struct workload churn_workload = {.name = "churn", .rounds = 16000000, .run = run};
