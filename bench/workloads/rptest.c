/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Of the kind of rptest: a table of blocks, uniform in size up to 8000 bytes, of which each round
 * frees some by a stride and fills the holes; now and then a list of blocks goes to whichever
 * thread takes it.
 */
#include "workload.h"

#include <stdatomic.h>

enum {
	TABLE = 1024,
	FREED = 128,
	STRIDE = 37,
	SMALLEST = 16,
	LARGEST = 8000,
	LIST = 32,
	EVERY = 4
};

struct item {
	struct item *next;
};

static _Atomic(struct item *) lists[WORKERS_MAX]; /* shared by all threads: that is the point */

static void drop(struct item *item)
{
	while (item) {
		struct item *next = item->next;

		free(item);
		item = next;
	}
}

/* A list into one's own place, if that is empty, and the list of another's out of it. */
static void hand_over(struct worker *self)
{
	struct item *first = NULL, *none = NULL;

	for (int i = 0; i < LIST; i++) {
		struct item *item = take(self, random_between(self, SMALLEST, LARGEST));

		if (!item)
			continue;
		item->next = first;
		first = item;
	}
	if (!atomic_compare_exchange_strong(&lists[self->index], &none, first))
		drop(first);
	drop(atomic_exchange(&lists[random_between(self, 0, self->threads)], NULL));
}

static void run(struct worker *self)
{
	void *table[TABLE] = {NULL};
	size_t at = 0;

	for (uint64_t i = 0; i < self->rounds; i++) {
		/* The stride and the table's size have no common divisor: each place has its
		   turn. */
		for (size_t n = 0; n < FREED; n++)
			free(table[(at + n * STRIDE) % TABLE]);
		for (size_t n = 0; n < FREED; n++)
			table[(at + n * STRIDE) % TABLE] =
				take(self, random_between(self, SMALLEST, LARGEST));
		at = (at + FREED * STRIDE) % TABLE;
		if (i % EVERY == 0)
			hand_over(self);
	}
	for (size_t i = 0; i < TABLE; i++)
		free(table[i]);
}

static void finish(void)
{
	for (size_t i = 0; i < WORKERS_MAX; i++)
		drop(atomic_exchange(&lists[i], NULL));
}

const struct workload rptest_workload = {.name = "rptest",
                                         .rounds = 16000,
                                         .run = run,
                                         .finish = finish};
