/* SPDX-License-Identifier: BSD-2-Clause */
/* For the tests of oomreclaimd: callbacks that write down what they are asked for. */
#ifndef BACKGROUND_LOG_H
#define BACKGROUND_LOG_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "oomreclaim.h"

#define CALLS_MAX 64

/* Guarded by lock; calls that have been waited for may be looked at without. */
struct background_log {
	pthread_mutex_t lock;
	pthread_cond_t called;
	unsigned calls;
	struct oomreclaim_control asked[CALLS_MAX];
	bool was_in_ladder;
	pid_t tid;
};
extern struct background_log seen;

unsigned calls(void);
void wait_for_calls(unsigned count);

/* Registers one of these: what it is asked for, nothing, or a claim of what the heap never sees. */
void serve(oomreclaim_callback *function);
size_t generous(const struct oomreclaim_control *control, void *arg);
size_t empty(const struct oomreclaim_control *control, void *arg);
size_t liar(const struct oomreclaim_control *control, void *arg);

/* The thread has done what there was to do, and sleeps. */
void wait_until_idle(void);
/* How many there are of it. It gives itself its name. */
unsigned threads(void);
/* Waits until there is one. */
void wait_for_thread(void);

#endif
