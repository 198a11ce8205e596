/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The list of reclaim callbacks, highest priority first (the kernel's oom_reclaim_list).
 *
 * Its lock is held for the list only, never over a callback, a wait for one, or a call of the
 * heap. Several walks may go on at once; a callback is in one of them at a time.
 */
#ifndef OOM_REGISTRY_H
#define OOM_REGISTRY_H

#include <stdbool.h>

#include "oomreclaim.h"
#include "reclaim/shrinker.h"

struct registry_entry;

/* A callback to be. The name has at most OOMRECLAIM_NAME_MAX characters, and is copied. */
struct registry_new {
	const char *name;
	int priority;
	unsigned flags;
	oomreclaim_callback *function; /* of a shrinker: scan() */
	void *arg;
	struct shrinker shrinker;
	unsigned in_group; /* a slot of limits/group.h, 0: the process's own */
};

/* How much memory registry_add() takes over. `release` is called with it, and with no lock held,
   once the callback is gone. */
extern const size_t registry_entry_bytes;
oomreclaim_handle registry_add(void *memory, const struct registry_new *callback,
                               void (*release)(void *memory));

bool registry_has(oomreclaim_handle handle);
/* The callback is not called again; a call that is under way may go on. False where there is
   none. */
bool registry_remove(oomreclaim_handle handle);

/* What a walker needs to call, copied out under the lock. */
struct registry_call {
	struct registry_entry *entry;
	oomreclaim_handle handle;
	char name[OOMRECLAIM_NAME_MAX + 1];
	oomreclaim_callback *function;
	void *arg;
	bool has_skipped; /* one that the walk is for was being called by another */
	bool has_spared;  /* one was of a group that is protected */
	bool is_group;    /* of a priority's shrinkers, which are walked from here; no call */
	bool is_count;
	struct shrinker shrinker; /* the caller's to change, until the call ends */
};

/* What one call came to. */
struct registry_outcome {
	size_t claimed_bytes;
	size_t measured_bytes;
	uint64_t duration_ns;
	size_t heap_bytes; /* of a count: what the heap had in use before */
	bool is_stop;      /* a shrinker's, which is not able to now */
};

/* Which callbacks a walk is for. Within a priority shrinkers come behind the others. */
struct registry_walk {
	uint64_t newest_handle;   /* those registered later are left out */
	uint64_t oldest_handle;   /* and those before */
	uint64_t only_handle;     /* 0: all */
	unsigned in_group;        /* those of this group and its descendants; 0: all */
	bool is_sparing;          /* those of groups that are protected are left out, */
	bool is_of_spared;        /* or all others are */
	unsigned char protection; /* by that mark of limits/group_low.h */
	bool is_background;       /* made by oomreclaimd */
	bool is_room;             /* for those of CALLBACK_ROOM, which no other is for */
	/* Shrinkers alone are walked by the other two, which call count() and scan(). */
	enum { REGISTRY_CALLBACKS, REGISTRY_COUNT, REGISTRY_SCAN } step;
	struct registry_entry *group; /* from there on, and of its priority; NULL: all */
};

/* Moves to the first entry (call->entry NULL) or to the next that the walk is for and that no other
   walk is calling, and pins it: unregister waits until registry_end_call(). False at the end of the
   list. */
bool registry_begin_call(struct registry_call *call, const struct registry_walk *walk);
/* outcome may be NULL: none, or noted already. */
void registry_end_call(struct registry_call *call, const struct registry_outcome *outcome);
/* Where the function is called more than once. False if it may not be called again: the call has
   unregistered it, or another thread waits for the end. */
bool registry_note_call(struct registry_call *call, const struct registry_outcome *outcome);

/* True while a callback of CALLBACK_ROOM is registered. */
bool registry_wants_room(void);

/* Gives up the place that begin/end keep between two calls. Needed where a walk is broken off. */
void registry_end_walk(struct registry_call *call);

/* Those of a group that ends are its parent's. */
void registry_regroup(unsigned from, unsigned to);

/* The newest handle given out: a walk leaves out what is registered after it began. */
uint64_t registry_newest(void);

/* One line of the report. */
struct registry_line {
	char name[OOMRECLAIM_NAME_MAX + 1];
	int priority;
	unsigned doubts; /* see struct shrinker */
	struct oomreclaim_callback_stats stats;
};

/* Up to `count` lines, in the order of calling; `total` gets the length of the list. Never blocks
   for long: the lock is only ever held for the list. */
unsigned registry_lines(struct registry_line *lines, unsigned count, unsigned *total);

/* Which callback it is, and where its code is. */
#define REGISTRY_FILE_MAX 63
struct registry_code {
	oomreclaim_handle handle;
	unsigned flags;
	oomreclaim_callback *function;
	char name[OOMRECLAIM_NAME_MAX + 1];
	char file[REGISTRY_FILE_MAX + 1]; /* as it was noted; "": not yet */
};
/* Moves on to the callback with the next handle, 0 being before the first; false where there is
   none. */
bool registry_next_code(struct registry_code *code);
void registry_note_file(const struct registry_code *code);

/* ---- Caches with targets: shrinkers that oomreclaimd may call ---- */

/* What its target is, and more of what it regrets. False where the handle names no such. is_new: it
   has a target from now on. */
bool registry_target(oomreclaim_handle handle, size_t *bytes, bool *is_new);
bool registry_regret(oomreclaim_handle handle, size_t bytes, bool *is_new);

/* True while one is registered that has a target. */
bool registry_has_caches(void);

/* What the heap has in use, and what is left beyond that, or is missing. */
struct registry_heap {
	size_t used_bytes;
	size_t headroom_bytes;
	size_t excess_bytes;
};

/* Sets all targets anew, given that and the caches' sizes, as they were counted last. is_round: at
   the end of a round, where their shares do not move, and where nothing is set unless the round has
   counted all of them. */
void registry_set_targets(const struct registry_heap *heap, bool is_round);

/* A round of the process's begins: what is counted from now on is counted in that round. */
void registry_begin_round(void);

void registry_fork_lock(void);
void registry_fork_unlock(void);
/* is_caller: the forking thread is itself inside a callback and goes on with it in the child. */
void registry_fork_child(bool is_caller);
/* In the child, behind that: the place that the walk of the forking thread keeps. */
void registry_fork_keep(const struct registry_call *place);

#endif
