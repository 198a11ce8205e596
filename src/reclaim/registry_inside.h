/* SPDX-License-Identifier: BSD-2-Clause */
/* What registry.c, registry_lines.c and registry_caches.c share: the list itself. */
#ifndef OOM_REGISTRY_INSIDE_H
#define OOM_REGISTRY_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "reclaim/calls.h"
#include "reclaim/registry.h"
#include "reclaim/target.h"

/* All members but the constant ones are guarded by registry.lock. */
struct registry_entry {
	struct registry_entry *next;
	/* Constant; so are priority, flags, function, arg, release and name. */
	oomreclaim_handle handle;
	int priority;
	oomreclaim_callback *function;
	void *arg;
	void (*release)(void *memory); /* of the entry itself */
	struct oomreclaim_callback_stats stats;
	unsigned flags;
	unsigned in_group; /* a slot of limits/group.h; guarded, as it may change */
	unsigned pins;     /* walkers that stand here: may not be unlinked */
	bool is_called;    /* one of them is inside the function */
	bool is_dead;      /* unregistered: not called again, unlinked by the last to leave */
	struct call_under_way call;
	struct shrinker shrinker;
	struct target target; /* of a shrinker */
	char name[OOMRECLAIM_NAME_MAX + 1];
	char file[REGISTRY_FILE_MAX + 1]; /* that the function is in; "": not known */
};

/* The one list of the process. */
struct registry {
	struct lock lock;
	struct registry_entry *first;
	uint64_t round; /* the number of the latest, from 1 on */
	/* Written under the lock, and read without: that may be where the heap's own locks are
	   held. Relaxed: an entry is looked for under the lock. */
	_Atomic oomreclaim_handle newest;
};
extern struct registry registry;

/* With the lock held: the link to it, or to the NULL at the end. */
struct registry_entry **registry_find(oomreclaim_handle handle);

/* With the lock held: the entry has died. */
void registry_forget_cache(const struct registry_entry *entry);

static inline bool registry_is_shrinker(const struct registry_entry *entry)
{
	return entry->shrinker.count != NULL;
}

#endif
