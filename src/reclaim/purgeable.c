/* SPDX-License-Identifier: BSD-2-Clause */
#include "reclaim/purgeable.h"

#include <limits.h>

#include "base/base.h"
#include "base/fork_data.h"
#include "base/lock.h"
#include "reclaim/registry.h"

/* One of the process: what is purged first is decided among all. All members are guarded by
   lock. */
static OOM_FORK_DATA struct {
	struct lock lock;
	void (*release)(void *memory); /* NULL: the shrinker is not registered yet */
	struct {
		struct oomreclaim_purgeable *first, *last;
	} lists[PURGEABLE_LISTS];
	uint64_t least_worth; /* of the block that was purged last; never falls */
	struct purgeable_totals totals;
} pool = {.lock = LOCK_INITIALIZER(LOCK_PURGEABLE)};

/* ---- The lists; with the lock held ---- */

static void append(struct oomreclaim_purgeable *purgeable)
{
	struct oomreclaim_purgeable *last = pool.lists[purgeable->list].last;

	purgeable->worth = pool.least_worth + (1U << purgeable->list);
	purgeable->previous = last;
	purgeable->next = NULL;
	*(last != NULL ? &last->next : &pool.lists[purgeable->list].first) = purgeable;
	pool.lists[purgeable->list].last = purgeable;
	pool.totals.bytes += purgeable->bytes;
}

static void unlink_from(struct oomreclaim_purgeable *purgeable)
{
	struct oomreclaim_purgeable *next = purgeable->next, *previous = purgeable->previous;

	*(previous != NULL ? &previous->next : &pool.lists[purgeable->list].first) = next;
	*(next != NULL ? &next->previous : &pool.lists[purgeable->list].last) = previous;
	pool.totals.bytes -= purgeable->bytes;
}

/* What is worth least; NULL: all blocks are pinned. */
static struct oomreclaim_purgeable *find_least(void)
{
	struct oomreclaim_purgeable *least = NULL;

	for (size_t i = 0; i < PURGEABLE_LISTS; i++) {
		struct oomreclaim_purgeable *first = pool.lists[i].first;

		if (first != NULL && (least == NULL || first->worth < least->worth))
			least = first;
	}
	return least;
}

static void *part_with(struct oomreclaim_purgeable *purgeable)
{
	void *block = purgeable->block;

	if (block != NULL && purgeable->pins == 0)
		unlink_from(purgeable);
	purgeable->block = NULL;
	return block;
}

/* ---- What the program does ---- */

oomreclaim_handle purgeable_enlist(void *memory, void (*release)(void *memory))
{
	static const struct registry_new shrinker = {.name = "purgeable blocks",
	                                             .priority = PURGEABLE_PRIORITY,
	                                             .function = purgeable_scan,
	                                             .shrinker = {.count = purgeable_count,
	                                                          .cost = OOMRECLAIM_COST_DEFAULT}};
	oomreclaim_handle handle = 0;

	lock_take(&pool.lock);
	if (pool.release == NULL) {
		handle = registry_add(memory, &shrinker, release);
		pool.release = release;
	}
	lock_release(&pool.lock);
	return handle;
}

bool purgeable_is_enlisted(void)
{
	bool is_enlisted;

	lock_take(&pool.lock);
	is_enlisted = pool.release != NULL;
	lock_release(&pool.lock);
	return is_enlisted;
}

static unsigned list_of(unsigned cost)
{
	return (unsigned)(sizeof cost * CHAR_BIT) - 1 - (unsigned)__builtin_clz(cost);
}

void purgeable_init(struct oomreclaim_purgeable *purgeable, void *block, size_t bytes,
                    unsigned cost)
{
	*purgeable = (struct oomreclaim_purgeable){.block = block,
	                                           .bytes = bytes,
	                                           .list = list_of(cost),
	                                           .pins = 1};
}

void *purgeable_block(const struct oomreclaim_purgeable *purgeable)
{
	void *block;

	lock_take(&pool.lock);
	block = purgeable->pins > 0 ? purgeable->block : NULL;
	lock_release(&pool.lock);
	return block;
}

void *purgeable_pin(struct oomreclaim_purgeable *purgeable)
{
	void *block;

	lock_take(&pool.lock);
	block = purgeable->block;
	if (block != NULL && purgeable->pins++ == 0)
		unlink_from(purgeable);
	lock_release(&pool.lock);
	return block;
}

bool purgeable_unpin(struct oomreclaim_purgeable *purgeable)
{
	bool is_pinned;

	lock_take(&pool.lock);
	is_pinned = purgeable->pins > 0;
	if (is_pinned && --purgeable->pins == 0)
		append(purgeable);
	lock_release(&pool.lock);
	return is_pinned;
}

void *purgeable_take(struct oomreclaim_purgeable *purgeable)
{
	void *block = NULL;

	lock_take(&pool.lock);
	if (purgeable->pins == 1)
		block = part_with(purgeable);
	lock_release(&pool.lock);
	return block;
}

void *purgeable_drop(struct oomreclaim_purgeable *purgeable)
{
	void *block;

	lock_take(&pool.lock);
	block = part_with(purgeable);
	lock_release(&pool.lock);
	return block;
}

/* ---- What reclaim does ---- */

/* One at a time: where fork() comes in between, the child has lost this one and no more. */
static void *purge_one(size_t *bytes)
{
	struct oomreclaim_purgeable *least;
	void *block = NULL;

	lock_take(&pool.lock);
	least = find_least();
	if (least != NULL) {
		*bytes = least->bytes;
		pool.least_worth = least->worth;
		pool.totals.purged_bytes += least->bytes;
		block = part_with(least);
	}
	lock_release(&pool.lock);
	return block;
}

size_t purgeable_count(const struct oomreclaim_control *control, void *arg)
{
	struct purgeable_totals totals;

	(void)control;
	(void)arg;
	purgeable_totals(&totals);
	return (size_t)totals.bytes;
}

size_t purgeable_scan(const struct oomreclaim_control *control, void *arg)
{
	size_t freed = 0, bytes = 0;
	void *block;

	(void)arg;
	while (freed < control->bytes_wanted && (block = purge_one(&bytes)) != NULL) {
		/* Written once, before there was a block. */
		pool.release(block);
		freed += bytes;
	}
	return freed;
}

void purgeable_totals(struct purgeable_totals *totals)
{
	lock_take(&pool.lock);
	*totals = pool.totals;
	lock_release(&pool.lock);
}

void purgeable_fork_lock(void)
{
	lock_take(&pool.lock);
}

void purgeable_fork_unlock(void)
{
	lock_release(&pool.lock);
}
