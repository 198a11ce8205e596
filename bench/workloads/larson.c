/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A server's threads, of the kind of larson: each replaces small blocks of random sizes at random,
 * ends, and leaves what is live to the thread after it, which frees what it never allocated.
 */
#include "workload.h"

enum { LIVE = 1000, GENERATION = 10000, SMALLEST = 8, LARGEST = 1000 };

struct room {
	struct worker *self;
	uint64_t steps; /* of this generation */
	void *live[LIVE];
};

static void serve(void *arg)
{
	struct room *room = arg;

	while (room->steps--) {
		size_t at = random_between(room->self, 0, LIVE);

		free(room->live[at]);
		room->live[at] = take(room->self, random_between(room->self, SMALLEST, LARGEST));
	}
}

static void run(struct worker *self)
{
	struct room room = {.self = self};

	for (size_t i = 0; i < LIVE; i++)
		room.live[i] = take(self, random_between(self, SMALLEST, LARGEST));
	for (uint64_t done = 0; done < self->rounds; done += GENERATION) {
		room.steps = self->rounds - done < GENERATION ? self->rounds - done : GENERATION;
		in_new_thread(serve, &room);
	}
	for (size_t i = 0; i < LIVE; i++)
		free(room.live[i]);
}

const struct workload larson_workload = {.name = "larson", .rounds = 15000000, .run = run};
