/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "base/base.h"
#include "base/fork_data.h"
#include "base/lock.h"
#include "limits/group_held.h"
#include "limits/group_inside.h"
#include "limits/group_victim.h"

/* A slot is reused, a handle is not: the slot is in its lower bits, a count in the others. */
#define SLOT_BITS 16
#define SLOT_MASK ((1U << SLOT_BITS) - 1)

static struct group root;
struct group *_Atomic group_table = &root;
static OOM_FORK_DATA struct lock lock = LOCK_INITIALIZER(LOCK_GROUPS);
/* Free slots are looked for behind the one that was given out last. Guarded by lock, as is the
   number of those that ever were. */
static unsigned newest, used = 1;

void group_lock(void)
{
	lock_take(&lock);
}

void group_unlock(void)
{
	lock_release(&lock);
}

unsigned group_slots_used(void)
{
	return used;
}

static bool is_free(unsigned slot)
{
	return atomic_load_explicit(&groups[slot].handle, memory_order_relaxed) == 0;
}

static unsigned find_free(void)
{
	for (unsigned i = 1; i < GROUP_SLOTS; i++) {
		unsigned slot = (newest + i - 1) % (GROUP_SLOTS - 1) + 1;

		if (is_free(slot))
			return slot;
	}
	return 0;
}

/* With the lock. The root has nothing to be copied: a group that is made counts there from then
   on. */
static bool make_table(void)
{
	void *table;

	if (groups != &root)
		return true;
	table = mmap(NULL, GROUP_SLOTS * sizeof root, PROT_READ | PROT_WRITE,
	             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (table == MAP_FAILED)
		return false;
	atomic_store_explicit(&group_table, table, memory_order_release);
	return true;
}

int group_add(const char *name, unsigned parent)
{
	struct group *group;
	unsigned slot;

	if (!make_table())
		return -ENOMEM;
	if (groups[parent].depth >= OOMRECLAIM_GROUP_DEPTH_MAX)
		return -EMLINK;
	slot = find_free();
	if (slot == 0)
		return -EAGAIN;
	newest = slot;
	if (slot >= used)
		used = slot + 1;
	group = &groups[slot];
	group->parent = parent;
	group->depth = groups[parent].depth + 1;
	strcpy(group->name, name);
	atomic_store_explicit(&group->charged, 0, memory_order_relaxed);
	atomic_store_explicit(&group->own, 0, memory_order_relaxed);
	atomic_store_explicit(&group->peak, 0, memory_order_relaxed);
	atomic_store_explicit(&group->max, SIZE_MAX, memory_order_relaxed);
	atomic_store_explicit(&group->high, SIZE_MAX, memory_order_relaxed);
	atomic_store_explicit(&group->protects[GROUP_BY_MIN], 0, memory_order_relaxed);
	atomic_store_explicit(&group->protects[GROUP_BY_LOW], 0, memory_order_relaxed);
	atomic_store_explicit(&group->high_met, 0, memory_order_relaxed);
	atomic_store_explicit(&group->policy, OOMRECLAIM_POLICY_RETURN, memory_order_relaxed);
	atomic_store_explicit(&group->max_met, 0, memory_order_relaxed);
	atomic_store_explicit(&group->reclaimed, 0, memory_order_relaxed);
	atomic_store_explicit(&group->cancels, 0, memory_order_relaxed);
	atomic_store_explicit(&group->score_adj, 0, memory_order_relaxed);
	atomic_store_explicit(&group->marks, 0, memory_order_relaxed);
	group->cancel = (struct group_cancel){.function = NULL};
	/* Threads that are just being refused are still in it. */
	atomic_fetch_and(&group->threads, ~GROUP_GONE);
	atomic_fetch_add_explicit(&groups[parent].children, 1, memory_order_relaxed);
	/* Release: a thread that finds the handle finds the rest. */
	atomic_store_explicit(&group->handle, ++group->uses << SLOT_BITS | slot,
	                      memory_order_release);
	return (int)slot;
}

void group_remove(unsigned slot)
{
	struct group *group = &groups[slot];
	size_t own = atomic_load_explicit(&group->own, memory_order_relaxed);

	group_victim_note_end(slot, true);
	/* Of the ancestors' sums it is a part already. */
	if (group->parent != 0)
		atomic_fetch_add_explicit(&groups[group->parent].own, own, memory_order_relaxed);
	atomic_store_explicit(&group->handle, 0, memory_order_release);
	atomic_fetch_sub_explicit(&groups[group->parent].children, 1, memory_order_relaxed);
}

unsigned group_find(oomreclaim_group handle)
{
	unsigned slot = (unsigned)(handle & SLOT_MASK);

	if (handle == OOMRECLAIM_GROUP_ROOT || slot >= GROUP_SLOTS || groups == &root ||
	    atomic_load_explicit(&groups[slot].handle, memory_order_acquire) != handle)
		return 0;
	return slot;
}

oomreclaim_group group_handle(unsigned slot)
{
	return atomic_load_explicit(&groups[slot].handle, memory_order_acquire);
}

unsigned group_parent(unsigned slot)
{
	return groups[slot].parent;
}

bool group_is_within(unsigned slot, unsigned in)
{
	while (slot != in && slot != 0)
		slot = groups[slot].parent;
	return slot == in;
}

const char *group_name(unsigned slot)
{
	return groups[slot].name;
}

/* ---- Threads inside ---- */

bool group_try_enter(unsigned slot, oomreclaim_group handle)
{
	struct group *group = &groups[slot];

	/* In one order with group_is_busy(): one of the two sees the other. */
	if ((atomic_fetch_add(&group->threads, 1) & GROUP_GONE) == 0 &&
	    atomic_load(&group->handle) == handle)
		return true;
	atomic_fetch_sub(&group->threads, 1);
	return false;
}

void group_leave(unsigned slot)
{
	atomic_fetch_sub(&groups[slot].threads, 1);
}

bool group_is_busy(unsigned slot)
{
	struct group *group = &groups[slot];
	unsigned none = 0;

	if (atomic_load_explicit(&group->children, memory_order_relaxed) > 0)
		return true;
	return !atomic_compare_exchange_strong(&group->threads, &none, GROUP_GONE);
}

/* ---- fork() ---- */

void group_fork_lock(void)
{
	group_lock();
}

void group_fork_unlock(void)
{
	group_unlock();
}

void group_fork_child_in(unsigned slot)
{
	/* There never was a group. */
	if (newest == 0)
		return;
	for (unsigned i = 1; i < used; i++) {
		unsigned own = (unsigned)(i == slot) + group_held_in(i);

		/* Some threads may just be being refused by what was a group. */
		if ((atomic_load_explicit(&groups[i].threads, memory_order_relaxed) & ~GROUP_GONE) >
		    0)
			atomic_store_explicit(&groups[i].threads, is_free(i) ? GROUP_GONE : own,
			                      memory_order_relaxed);
		/* What was to end is the parent's work. */
		if (!is_free(i))
			atomic_fetch_and(&groups[i].marks, ~(GROUP_CANCELLED | GROUP_UNTOLD));
	}
	group_charge_fork_child();
}
