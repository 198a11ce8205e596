/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Of the kind of xmalloc: threads of even numbers only allocate, those of odd numbers only free,
 * and batches go from one to the other through a queue. One thread alone takes turns with itself.
 */
#include "workload.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { BATCH = 128, QUEUE = 64, PATIENCE = 1000 };

struct batch {
	void *blocks[BATCH];
};

/* Shared by all threads: that is the point. The lock guards `batches`, `first` and `count`. */
static struct queue {
	pthread_mutex_t lock;
	struct batch *batches[QUEUE];
	unsigned first, count;
	atomic_uint producers; /* that have not ended */
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool put(struct batch *batch)
{
	bool fits;

	pthread_mutex_lock(&queue.lock);
	fits = queue.count < QUEUE;
	if (fits)
		queue.batches[(queue.first + queue.count++) % QUEUE] = batch;
	pthread_mutex_unlock(&queue.lock);
	return fits;
}

static struct batch *get(void)
{
	struct batch *batch = NULL;

	pthread_mutex_lock(&queue.lock);
	if (queue.count) {
		batch = queue.batches[queue.first];
		queue.first = (queue.first + 1) % QUEUE;
		queue.count--;
	}
	pthread_mutex_unlock(&queue.lock);
	return batch;
}

static struct batch *make(struct worker *self)
{
	struct batch *batch = take(self, sizeof(*batch));

	for (int i = 0; batch && i < BATCH; i++)
		batch->blocks[i] = take(self, random_size(self, 3, 9));
	return batch;
}

static void drop(struct batch *batch)
{
	for (int i = 0; i < BATCH; i++)
		free(batch->blocks[i]);
	free(batch);
}

/* A consumer that was never started is not waited for: after some patience the batch is freed
   here. */
static void produce(struct worker *self, uint64_t batches)
{
	while (batches--) {
		struct batch *batch = make(self);
		unsigned tries = 0;

		if (!batch)
			continue;
		while (!put(batch)) {
			if (++tries > PATIENCE || self->threads == 1) {
				drop(batch);
				break;
			}
			sched_yield();
		}
		if (self->threads == 1 && (batch = get()))
			drop(batch);
	}
	/* Release: what was put is seen by the one that finds nobody left. */
	atomic_fetch_sub_explicit(&queue.producers, 1, memory_order_release);
}

static void consume(void)
{
	bool last;

	do {
		struct batch *batch;

		last = !atomic_load_explicit(&queue.producers, memory_order_acquire);
		while ((batch = get()))
			drop(batch);
		sched_yield();
	} while (!last);
}

static void run(struct worker *self)
{
	if (self->index % 2)
		consume();
	else
		produce(self, self->rounds * self->threads / ((self->threads + 1) / 2));
}

static void prepare(unsigned threads)
{
	atomic_store(&queue.producers, (threads + 1) / 2);
}

static void finish(void)
{
	struct batch *batch;

	while ((batch = get()))
		drop(batch);
}

const struct workload xmalloc_workload = {.name = "xmalloc",
                                          .rounds = 60000,
                                          .run = run,
                                          .prepare = prepare,
                                          .finish = finish};
