/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Of the kind of mstress: in phases, each in a thread of its own, blocks of mostly small and rarely
 * large sizes are made, freed, kept for the next phases, and exchanged with other threads' by a
 * table.
 */
#include "workload.h"

#include <stdatomic.h>

enum { TRANSIENT = 1024, KEPT = 256, EXCHANGED = 1024, PHASE = 20000, RARELY = 1000 };

static _Atomic(void *) exchanged[EXCHANGED]; /* shared by all threads: that is the point */

struct room {
	struct worker *self;
	uint64_t steps; /* of this phase */
	void *kept[KEPT];
};

static size_t next_size(struct worker *self)
{
	size_t pointers = (size_t)1 << random_between(self, 0, 7);

	if (random_between(self, 0, RARELY) == 0)
		pointers <<= random_between(self, 4, 11);
	return sizeof(void *) * random_between(self, 1, pointers + 1);
}

static void work(void *arg)
{
	void *transient[TRANSIENT] = {NULL};
	struct room *room = arg;
	struct worker *self = room->self;

	for (uint64_t i = 0; i < room->steps; i++) {
		size_t at = random_between(self, 0, TRANSIENT);
		uint64_t what = random_next(self) >> 60; /* of 16 */

		free(transient[at]);
		transient[at] = take(self, next_size(self));
		if (what < 4) {
			size_t place = random_between(self, 0, KEPT);
			void *old = room->kept[place];

			room->kept[place] = transient[at];
			transient[at] = old;
		} else if (what < 6) {
			size_t place = random_between(self, 0, EXCHANGED);

			transient[at] = atomic_exchange(&exchanged[place], transient[at]);
		}
	}
	for (size_t i = 0; i < TRANSIENT; i++)
		free(transient[i]);
}

static void run(struct worker *self)
{
	struct room room = {.self = self};

	for (uint64_t done = 0; done < self->rounds; done += PHASE) {
		room.steps = self->rounds - done < PHASE ? self->rounds - done : PHASE;
		in_new_thread(work, &room);
		/* Half of what was kept ends with the phase. */
		for (size_t i = 0; i < KEPT; i += 2) {
			free(room.kept[i]);
			room.kept[i] = NULL;
		}
	}
	for (size_t i = 0; i < KEPT; i++)
		free(room.kept[i]);
}

static void finish(void)
{
	for (size_t i = 0; i < EXCHANGED; i++)
		free(atomic_exchange(&exchanged[i], NULL));
}

const struct workload mstress_workload = {.name = "mstress",
                                          .rounds = 6000000,
                                          .run = run,
                                          .finish = finish};
