/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A walk through the callbacks, on the stack of the thread that calls them: what reclaim.c and
 * shrink_walk.c share. visit_call.c calls one.
 */
#ifndef OOM_VISIT_H
#define OOM_VISIT_H

#include "reclaim/guard.h"
#include "reclaim/reclaim.h"
#include "reclaim/registry.h"

struct visit {
	struct guard guard;
	struct round *round;
	const struct reclaim_request *request;
	struct reclaim_progress *progress;
	struct registry_walk walk;
	struct registry_call callback; /* the one that is called */
	struct registry_call
		group; /* the place of shrinkers of a priority, while they are walked */
	struct oomreclaim_control control; /* bytes_wanted: of the whole round */
	unsigned scope;                    /* of the thread, as it was before the callback */
};

/* What is wanted is read again: others may have joined. `calling` is the callback's name, "" behind
   it. */
void visit_update(struct visit *visit, const char *calling);

/* Calls visit->callback, and takes no note of the outcome. False if the thread had left it for
   good: then the visit has ended, and is not to be touched. */
bool visit_call(struct visit *visit, const struct oomreclaim_control *control,
                struct registry_outcome *outcome);

/* What a call has given belongs to the round. */
void visit_gave(struct visit *visit, const struct registry_outcome *outcome);

/* visit->callback stands at the first shrinker of a priority: asks all of that priority. False as
   above. */
bool visit_shrinkers(struct visit *visit);

/* What the heap has in use, by which the sizes of caches are judged; SIZE_MAX: none has a
   target. */
size_t reclaim_heap_bytes(void);

/* Counts the caches that have a target. False as above. */
bool visit_sizes(struct visit *visit);

/* The thread is on its way out of a callback and of the ladder, and comes back to none of what is
   below. The round ends with what there was before. */
void visit_abandon(void *visit);

/* Behind a call, however it ended: fork() may go on. */
void visit_leave_gate(const struct visit *visit);

#endif
