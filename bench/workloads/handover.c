/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Producers and consumers: each thread makes batches for the next one and frees those that the one
 * before made, as servers do that read on one thread and answer on another.
 */
#include "workload.h"

#include <stdatomic.h>

enum { BATCH = 64, PENDING_MAX = 256 };

struct item {
	struct item *next;
};

/* A thread's inbox: a stack of blocks that it empties at one stroke. */
static struct inbox {
	_Alignas(64) _Atomic(struct item *) top;
	atomic_uint batches; /* a hint: over PENDING_MAX the producer frees its batch itself */
} inboxes[WORKERS_MAX];      /* shared by all threads: that is the point */

static void drop(struct item *item)
{
	while (item) {
		struct item *next = item->next;

		free(item);
		item = next;
	}
}

static struct item *make_batch(struct worker *self, struct item **last)
{
	struct item *first = NULL;

	*last = NULL;
	for (int i = 0; i < BATCH; i++) {
		struct item *item = take(self, random_between(self, 16, 513));

		if (!item)
			continue;
		item->next = first;
		first = item;
		if (!*last)
			*last = item;
	}
	return first;
}

static void post(struct inbox *inbox, struct item *first, struct item *last)
{
	if (atomic_load_explicit(&inbox->batches, memory_order_relaxed) >= PENDING_MAX) {
		drop(first);
		return;
	}
	last->next = atomic_load_explicit(&inbox->top, memory_order_relaxed);
	/* Release: who takes the batch sees what is in it. */
	while (!atomic_compare_exchange_weak_explicit(&inbox->top, &last->next, first,
	                                              memory_order_release, memory_order_relaxed))
		;
	atomic_fetch_add_explicit(&inbox->batches, 1, memory_order_relaxed);
}

static void empty(struct inbox *inbox)
{
	atomic_store_explicit(&inbox->batches, 0, memory_order_relaxed);
	drop(atomic_exchange_explicit(&inbox->top, NULL, memory_order_acquire));
}

static void run(struct worker *self)
{
	struct inbox *theirs = &inboxes[(self->index + 1) % self->threads];

	for (uint64_t i = 0; i < self->rounds; i++) {
		struct item *last, *first = make_batch(self, &last);

		if (first)
			post(theirs, first, last);
		empty(&inboxes[self->index]);
	}
}

static void finish(void)
{
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		empty(&inboxes[i]);
}

const struct workload handover_workload = {.name = "handover",
                                           .rounds = 150000,
                                           .run = run,
                                           .finish = finish};
