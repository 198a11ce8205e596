/* SPDX-License-Identifier: BSD-2-Clause */
/* A round of callbacks that stays inside of its first callback, on a thread of its own, until the
   test lets it go on. */
#ifndef SLOW_ROUND_H
#define SLOW_ROUND_H

#include "reclaim/reclaim.h"
#include "support.h"

/* Longer than any test: a thread that waits so long waits for ever. */
#define FOR_EVER_NS (3600 * NSEC_PER_SEC)

/* What the first callback claims. */
#define SLOW_BYTES ((size_t)100)

/* Opened when the thread is inside; opened to let it go on. A child of fork() has to open the
   second as well: so the test forks when the thread is asleep at the gate, and does not hold its
   lock. */
extern struct gate slow_inside, slow_go_on;

/* What the second and last callback was asked for. */
extern size_t slow_wanted_from_last;

/* The threads of the round, and of one that joins it, and what each of them got. */
extern struct thread slow_owner, slow_joiner;
extern struct reclaim_progress slow_owners, slow_joiners;

/* One round on the calling thread. */
struct reclaim_progress round_run(size_t wanted_bytes, uint64_t deadline_ns, bool is_background);

/* The callbacks, which note S and L in the heap's trace; registers both. */
size_t slow_callback(const struct oomreclaim_control *control, void *arg);
size_t slow_last(const struct oomreclaim_control *control, void *arg);
void slow_add(void);

/* Starts the round; it is inside of the first callback then. Ends it. */
void slow_begin(void);
void slow_end(void);

/* For thread_start(): joins the round, for 5000 bytes. */
void slow_join(void);

#endif
