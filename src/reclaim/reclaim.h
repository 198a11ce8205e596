/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One thread runs the callbacks, those that arrive meanwhile wait for it and share
 * its progress (the kernel's oom_lock and oom_reclaim_pages()).
 */
#ifndef OOM_RECLAIM_H
#define OOM_RECLAIM_H

#include "oomreclaim.h"

struct reclaim_request {
	size_t wanted_bytes;
	size_t size;
	size_t alignment;
	enum oomreclaim_reason reason;
	const char *constraint;
	unsigned attempt;
	unsigned in_group; /* callbacks of this group and of its descendants alone; 0: all */
	oomreclaim_handle only_handle; /* the callback that alone is asked; 0: all */
	size_t headroom_bytes;         /* of REASON_ROOM */
	bool is_background;   /* on oomreclaimd, where no lock of the application is held */
	uint64_t deadline_ns; /* when to stop waiting for another thread's round */
};

/* did_some_progress. */
struct reclaim_progress {
	size_t claimed_bytes;                     /* what the callbacks say they freed */
	size_t measured_bytes;                    /* what the heap saw of it */
	bool has_timed_out;                       /* another thread's round did not end in time */
	char waited_for[OOMRECLAIM_NAME_MAX + 1]; /* the callback that it was in then */
};

/* One round: highest priority first, until wanted_bytes is claimed, or another thread's round.
   There are three kinds, direct, background and of a group, which do not wait for each other: a
   direct round that finds nothing while a background round goes on waits for that one before it
   says so. Of groups one has a round at a time; a thread of another waits for its end, and begins
   its own. To be called between descent_begin() and descent_end(), and never from inside a
   callback. */
void reclaim_round(const struct reclaim_request *request, struct reclaim_progress *progress);

/* As oomreclaim_reclaim(), for one group. */
size_t reclaim_group(unsigned slot, size_t bytes);

/* Calls the callbacks that are to know that there is room again. On oomreclaimd, and as above; it
   is no round. */
void reclaim_tell_room(size_t headroom_bytes);

/* Calls count() of the shrinkers that have a target. As above. */
void reclaim_count_caches(void);

/* Sets the targets of caches anew, by their sizes as counted last and by what is left. Done at the
   end of each round as well: it is a limit that was met, and the targets let the caches grow beyond
   it. The heap's own records grow with the caches, by as much as nobody knew before. is_round: as
   registry_set_targets() has it. */
void reclaim_aim_caches(bool is_round);

/* True on the thread that runs the callbacks, at any depth. */
bool reclaim_is_caller(void);

/* What has been done, by rounds of one kind. */
struct reclaim_totals {
	uint64_t rounds;
	uint64_t claimed_bytes;
	uint64_t measured_bytes;
};
void reclaim_totals(bool is_background, struct reclaim_totals *totals);

void reclaim_fork_lock(void);
void reclaim_fork_unlock(void);
void reclaim_fork_child(void);

#endif
