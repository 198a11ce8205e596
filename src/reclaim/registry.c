/* SPDX-License-Identifier: BSD-2-Clause */
#include "reclaim/registry_inside.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/assert.h"
#include "base/base.h"
#include "base/fork_data.h"
#include "base/lock.h"
#include "limits/group_low.h"
#include "lockdep/watch.h"
#include "reclaim/calls.h"

OOM_FORK_DATA struct registry registry = {.lock = LOCK_INITIALIZER(LOCK_REGISTRY), .round = 1};

struct registry_entry **registry_find(oomreclaim_handle handle)
{
	struct registry_entry **link = &registry.first;

	while (*link != NULL && (*link)->handle != handle)
		link = &(*link)->next;
	return link;
}

static bool is_for_room(const struct registry_entry *entry)
{
	return (entry->flags & OOMRECLAIM_CALLBACK_ROOM) != 0;
}

/* Those that are registered. Written under the lock. Relaxed: it orders nothing. */
static atomic_uint for_room;

bool registry_wants_room(void)
{
	return atomic_load_explicit(&for_room, memory_order_relaxed) > 0;
}

static bool is_before(const struct registry_entry *entry, const struct registry_entry *other)
{
	if (entry->priority != other->priority)
		return entry->priority > other->priority;
	return !registry_is_shrinker(entry) || registry_is_shrinker(other);
}

static void insert(struct registry_entry *entry)
{
	struct registry_entry **link = &registry.first;

	while (*link != NULL && is_before(*link, entry))
		link = &(*link)->next;
	entry->next = *link;
	*link = entry;
}

const size_t registry_entry_bytes = sizeof(struct registry_entry);

oomreclaim_handle registry_add(void *memory, const struct registry_new *callback,
                               void (*release)(void *memory))
{
	struct registry_entry *entry = memory;
	oomreclaim_handle given;

	*entry = (struct registry_entry){
		.priority = callback->priority,
		.flags = callback->flags,
		.function = callback->function,
		.arg = callback->arg,
		.release = release,
		.shrinker = callback->shrinker,
		.in_group = callback->in_group,
	};
	strcpy(entry->name, callback->name);
	lock_take(&registry.lock);
	given = entry->handle = ++registry.newest;
	insert(entry);
	atomic_fetch_add_explicit(&for_room, is_for_room(entry), memory_order_relaxed);
	lock_release(&registry.lock);
	return given;
}

/* Takes a dead entry out of the list. The caller releases it, after dropping the lock. */
static struct registry_entry *unlink_dead(struct registry_entry *entry)
{
	*registry_find(entry->handle) = entry->next;
	return entry;
}

/* What unlink_dead() took out. */
static OOM_NOINLINE void release_gone(struct registry_entry *gone)
{
	if (gone == NULL)
		return;
	lockdep_unregistered(gone->handle);
	gone->release(gone);
}

bool registry_has(oomreclaim_handle handle)
{
	const struct registry_entry *entry;
	bool has;

	lock_take(&registry.lock);
	entry = *registry_find(handle);
	has = entry != NULL && !entry->is_dead;
	lock_release(&registry.lock);
	return has;
}

bool registry_remove(oomreclaim_handle handle)
{
	struct registry_entry *entry, *gone = NULL;

	lock_take(&registry.lock);
	entry = *registry_find(handle);
	if (entry == NULL || entry->is_dead) {
		lock_release(&registry.lock);
		return false;
	}
	entry->is_dead = true;
	registry_forget_cache(entry);
	atomic_fetch_sub_explicit(&for_room, is_for_room(entry), memory_order_relaxed);
	if (entry->pins == 0)
		gone = unlink_dead(entry);
	lock_release(&registry.lock);
	release_gone(gone);
	return true;
}

/* The walker leaves its place; the entry goes if it was unregistered meanwhile. */
static struct registry_entry *unpin(struct registry_entry *entry)
{
	oom_assert(entry->pins > 0 && !(entry->is_called && entry->pins == 1));
	entry->pins--;
	return entry->is_dead && entry->pins == 0 ? unlink_dead(entry) : NULL;
}

static bool is_for(const struct registry_entry *entry, const struct registry_walk *walk)
{
	unsigned other =
		walk->is_background ? OOMRECLAIM_CALLBACK_DIRECT : OOMRECLAIM_CALLBACK_BACKGROUND;

	return !entry->is_dead && is_for_room(entry) == walk->is_room &&
	       entry->handle <= walk->newest_handle && entry->handle >= walk->oldest_handle &&
	       group_is_within(entry->in_group, walk->in_group) &&
	       (walk->only_handle == 0 || entry->handle == walk->only_handle) &&
	       (walk->step == REGISTRY_CALLBACKS || registry_is_shrinker(entry)) &&
	       (entry->flags & other) == 0;
}

/* mem_cgroup_below_min(). */
static bool is_kept(const struct registry_entry *entry, const struct registry_walk *walk)
{
	return walk->is_sparing && group_is_kept(entry->in_group, walk->protection);
}

/* mem_cgroup_below_low(), and sc->memcg_low_reclaim. */
static bool is_spared(const struct registry_entry *entry, const struct registry_walk *walk)
{
	return walk->is_sparing &&
	       group_is_protected(entry->in_group, walk->protection) != walk->is_of_spared;
}

static bool is_left_out(const struct registry_entry *entry, const struct registry_walk *walk)
{
	return !is_for(entry, walk) || is_kept(entry, walk);
}

static struct registry_entry *from(const struct registry_call *call,
                                   const struct registry_walk *walk)
{
	struct registry_entry *entry = call->entry;

	if (entry == NULL)
		return walk->group != NULL ? walk->group : registry.first;
	/* Behind a place come the callbacks of the next priority. */
	for (entry = entry->next; entry != NULL && call->is_group && registry_is_shrinker(entry) &&
	                          entry->priority == call->entry->priority;)
		entry = entry->next;
	return entry;
}

static bool is_behind(const struct registry_entry *entry, const struct registry_walk *walk)
{
	return entry == NULL || (walk->group != NULL && entry->priority != walk->group->priority);
}

static struct registry_entry *find_next(struct registry_call *call,
                                        const struct registry_walk *walk)
{
	struct registry_entry *entry = from(call, walk);

	while (!is_behind(entry, walk) &&
	       (is_left_out(entry, walk) || is_spared(entry, walk) || entry->is_called)) {
		call->has_spared |= !is_left_out(entry, walk) && is_spared(entry, walk);
		call->has_skipped |= !is_left_out(entry, walk) && !is_spared(entry, walk);
		entry = entry->next;
	}
	return is_behind(entry, walk) ? NULL : entry;
}

static void copy_out(const struct registry_entry *entry, struct registry_call *call)
{
	call->handle = entry->handle;
	memcpy(call->name, entry->name, sizeof call->name);
	call->function = call->is_count ? entry->shrinker.count : entry->function;
	call->arg = entry->arg;
	call->shrinker = entry->shrinker;
}

bool registry_begin_call(struct registry_call *call, const struct registry_walk *walk)
{
	struct registry_entry *entry, *gone = NULL;

	lock_take(&registry.lock);
	entry = find_next(call, walk);
	if (call->entry != NULL)
		gone = unpin(call->entry);
	call->entry = entry;
	call->is_count = walk->step == REGISTRY_COUNT;
	call->is_group =
		entry != NULL && registry_is_shrinker(entry) && walk->step == REGISTRY_CALLBACKS;
	if (entry != NULL) {
		entry->pins++;
		if (!call->is_group) {
			entry->is_called = true;
			calls_begin(&entry->call, entry->handle);
		}
		copy_out(entry, call);
	}
	lock_release(&registry.lock);
	release_gone(gone);
	return entry != NULL;
}

/* With the lock held. */
static void note(struct registry_call *call, const struct registry_outcome *outcome)
{
	struct oomreclaim_callback_stats *stats = &call->entry->stats;

	if (outcome->duration_ns > stats->longest_ns)
		stats->longest_ns = outcome->duration_ns;
	stats->stops += outcome->is_stop;
	if (call->is_count) {
		stats->counts++;
		stats->bytes_counted = outcome->claimed_bytes;
		if (!outcome->is_stop) {
			call->entry->target.size_bytes = outcome->claimed_bytes;
			call->entry->target.counted_in = registry.round;
			call->entry->target.heap_bytes = outcome->heap_bytes;
		}
		return;
	}
	/* What it claims and the heap did not see may be no truth: too large a size does no
	   harm. */
	call->entry->target.size_bytes -=
		min_size(call->entry->target.size_bytes,
	                 min_size(outcome->claimed_bytes, outcome->measured_bytes));
	stats->calls++;
	stats->bytes_claimed += outcome->claimed_bytes;
	stats->bytes_measured += outcome->measured_bytes;
}

bool registry_note_call(struct registry_call *call, const struct registry_outcome *outcome)
{
	bool may_go_on;

	lock_take(&registry.lock);
	note(call, outcome);
	may_go_on = !call->entry->is_dead;
	lock_release(&registry.lock);
	return may_go_on;
}

void registry_end_call(struct registry_call *call, const struct registry_outcome *outcome)
{
	struct registry_entry *entry = call->entry;

	lock_take(&registry.lock);
	if (outcome != NULL)
		note(call, outcome);
	entry->shrinker = call->shrinker;
	entry->stats.bytes_deferred =
		call->shrinker.due_bytes > 0 ? (uint64_t)call->shrinker.due_bytes : 0;
	entry->is_called = false;
	calls_end(&entry->call);
	lock_release(&registry.lock);
}

void registry_end_walk(struct registry_call *call)
{
	struct registry_entry *gone;

	if (call->entry == NULL)
		return;
	lock_take(&registry.lock);
	gone = unpin(call->entry);
	call->entry = NULL;
	lock_release(&registry.lock);
	release_gone(gone);
}

void registry_begin_round(void)
{
	lock_take(&registry.lock);
	registry.round++;
	lock_release(&registry.lock);
}

void registry_regroup(unsigned from, unsigned to)
{
	lock_take(&registry.lock);
	for (struct registry_entry *entry = registry.first; entry; entry = entry->next)
		if (entry->in_group == from)
			entry->in_group = to;
	lock_release(&registry.lock);
}

uint64_t registry_newest(void)
{
	return atomic_load_explicit(&registry.newest, memory_order_relaxed);
}

void registry_fork_lock(void)
{
	lock_take(&registry.lock);
}

void registry_fork_unlock(void)
{
	lock_release(&registry.lock);
}

void registry_fork_child(bool is_caller)
{
	for (struct registry_entry *entry = registry.first; entry; entry = entry->next) {
		/* Of all walks only that of the forking thread goes on. */
		bool is_here = is_caller && entry->is_called && calls_is_own(entry->handle);

		if (!is_here)
			calls_end(&entry->call);
		fork_reset(entry->is_called, is_here);
		fork_reset(entry->pins, is_here);
	}
}

void registry_fork_keep(const struct registry_call *place)
{
	if (place->entry != NULL)
		place->entry->pins++;
}
