/* SPDX-License-Identifier: BSD-2-Clause */
/* The arenas of groups: heap_group.h has the contract. */
#include "base/base.h"
#include "heap/heap_free.h"
#include "heap/heap_group_inside.h"

/* Whose cache may take an arena's blocks: the slot of a group, 0 for the root and all arenas of
   jemalloc's own. Read at each free(). Relaxed, as are all here: a thread that frees a block has it
   from another, in an order of the program's. */
atomic_ushort heap_group_owner[GROUP_ARENAS];

/* There is a group, or was. Never taken back. */
atomic_bool heap_has_groups;

/* The calling thread's group. */
OOM_TLS unsigned heap_own_group;

/* By slot: NULL until a thread enters. Written under group_lock(); acquire and release, as a thread
   that finds one uses it at once. */
static arena_t *_Atomic made[GROUP_SLOTS];

/* By arena. Under group_lock(); epoch is read under it as well. */
static struct {
	unsigned epoch;        /* how often all was freed */
	bool is_left;          /* by a group that is no more */
	atomic_bool is_groups; /* once a group's, it is one group's or another's for good */
} states[GROUP_ARENAS];

static atomic_uint destroys;

arena_t *heap_group_arena(unsigned slot)
{
	return atomic_load_explicit(&made[slot], memory_order_acquire);
}

unsigned heap_group_destroys(void)
{
	return atomic_load_explicit(&destroys, memory_order_relaxed);
}

unsigned heap_group_epoch(unsigned arena)
{
	return states[arena].epoch;
}

/* It starts with its first block. */
static void start_heap(void)
{
	void *first = je_mallocx(1, MALLOCX_TCACHE_NONE);

	if (first != NULL)
		je_dallocx(first, MALLOCX_TCACHE_NONE);
}

bool heap_group_can_be(void)
{
	/* One that has not started knows nothing of its settings, and no thread can enter. */
	if (!malloc_initialized())
		start_heap();
	return !opt_hpa;
}

/* No thread has a block of a group's before. */
static void begin(void)
{
	atomic_store(&heap_has_groups, true);
}

static void set_owner(unsigned arena, unsigned owner)
{
	atomic_store_explicit(&heap_group_owner[arena], (unsigned short)owner,
	                      memory_order_relaxed);
}

static void purge(tsdn_t *tsdn, arena_t *arena)
{
	arena_decay(tsdn, arena, false, true);
}

/* Empty: no block of it is anywhere, not in a cache either, and nobody takes a new one. */
static arena_t *find_left(tsdn_t *tsdn)
{
	unsigned count = narenas_total_get();

	for (unsigned i = manual_arena_base; i < count; i++) {
		arena_t *arena = states[i].is_left ? arena_get(tsdn, i, false) : NULL;

		/* With blocks in use there is nothing to try. */
		if (arena == NULL || atomic_load_zu(&arena->pa_shard.nactive, ATOMIC_RELAXED) > 0)
			continue;
		purge(tsdn, arena);
		/* What another thread is giving back is in no list, and still charged. */
		if (group_arena_is_empty(i)) {
			states[i].is_left = false;
			return arena;
		}
	}
	return NULL;
}

static arena_t *make_arena(tsdn_t *tsdn)
{
	unsigned index;

	/* jemalloc itself would go one too far. */
	if (narenas_total_get() >= MALLOCX_ARENA_LIMIT - 1)
		return NULL;
	if (heap_arena_create(&arena_config_default, &index) != 0 || index >= GROUP_ARENAS)
		return NULL;
	heap_mark_arena(index);
	return arena_get(tsdn, index, false);
}

bool heap_group_make_arena(unsigned slot)
{
	tsdn_t *tsdn = tsdn_fetch();
	arena_t *arena;

	group_lock();
	arena = heap_group_arena(slot);
	if (arena == NULL)
		arena = find_left(tsdn);
	if (arena == NULL)
		arena = make_arena(tsdn);
	if (arena != NULL && heap_group_arena(slot) == NULL) {
		group_charge_arena_to(arena_ind_get(arena), slot);
		set_owner(arena_ind_get(arena), slot);
		atomic_store_explicit(&states[arena_ind_get(arena)].is_groups, true,
		                      memory_order_relaxed);
		begin();
		atomic_store_explicit(&made[slot], arena, memory_order_release);
	}
	group_unlock();
	return arena != NULL;
}

/* The arenas of a group: its own and those that others have left to it. */
static bool next_arena(unsigned slot, unsigned *arena)
{
	unsigned count = narenas_total_get();

	while (++*arena < count)
		if (group_of_arena(*arena) == slot)
			return true;
	return false;
}

static void free_all(unsigned arena)
{
	size_t mib[3], length = ARRAY_SIZE(mib);

	states[arena].epoch++;
	/* As many as there are: the second is the arena. */
	if (je_mallctlnametomib("arena.0.reset", mib, &length) != 0)
		return;
	mib[1] = arena;
	je_mallctlbymib(mib, length, NULL, NULL, NULL, 0);
	purge(tsdn_fetch(), arena_get(tsdn_fetch(), arena, false));
}

void heap_group_destroy(unsigned slot, bool frees)
{
	unsigned parent = group_parent(slot), arena = manual_arena_base - 1;

	/* What the debug library keeps would be freed once more. */
	blocks_drain();
	atomic_fetch_add_explicit(&destroys, 1, memory_order_relaxed);
	while (next_arena(slot, &arena)) {
		if (frees)
			free_all(arena);
		set_owner(arena, parent == 0 ? 0 : HEAP_GROUP_NO_CACHE);
		group_charge_arena_to(arena, parent);
		states[arena].is_left = true;
	}
	atomic_store_explicit(&made[slot], NULL, memory_order_relaxed);
}

/* Only the first and the last page of a large block have a record of it: the way to the first may
   be long. */
static edata_t *find_extent(tsdn_t *tsdn, uintptr_t address)
{
	rtree_t *tree = &arena_emap_global.rtree;
	rtree_ctx_t fallback, *context = tsdn_rtree_ctx(tsdn, &fallback);
	uintptr_t page = address & ~PAGE_MASK;
	edata_t *found = NULL;

	while (found == NULL && page > 0) {
		rtree_leaf_elm_t *leaf =
			rtree_leaf_elm_lookup(tsdn, tree, context, page, false, false);

		/* Without one there is nothing in a GiB. */
		if (leaf != NULL)
			found = rtree_leaf_elm_read(tsdn, tree, leaf, false).edata;
		else
			page = rtree_leafkey(page);
		page = page > 0 ? page - PAGE : 0;
	}
	return found != NULL && address < (uintptr_t)edata_past_get(found) ? found : NULL;
}

oomreclaim_group heap_group_of(const void *block)
{
	edata_t *extent;

	if (!malloc_initialized() || !heap_is_in_reach(block, 1))
		return OOMRECLAIM_GROUP_ROOT;
	extent = find_extent(tsdn_fetch(), (uintptr_t)block);
	return extent != NULL && edata_state_get(extent) == extent_state_active
	               ? group_handle_of_arena(edata_arena_ind_get(extent))
	               : OOMRECLAIM_GROUP_ROOT;
}

/* Other threads count meanwhile. In this order, and no fewer than none: what is freed in between
   may be missing, and nothing counts that is not there. */
static uint64_t count_large(arena_stats_large_t *large)
{
	uint64_t taken = locked_read_u64_unsynchronized(&large->nmalloc);
	uint64_t freed = locked_read_u64_unsynchronized(&large->ndalloc);

	return taken > freed ? taken - freed : 0;
}

static size_t allocated_in(arena_t *arena)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < SC_NBINS; i++)
		for (unsigned j = 0; j < bin_infos[i].n_shards; j++)
			bytes += arena_get_bin(arena, i, j)->stats.curregs * bin_infos[i].reg_size;
	for (unsigned i = SC_NBINS; i < SC_NSIZES; i++) {
		arena_stats_large_t *large = &arena->stats.lstats[i - SC_NBINS];

		bytes += (size_t)count_large(large) * sz_index2size(i);
	}
	return bytes;
}

size_t heap_group_allocated(unsigned slot)
{
	unsigned arena = manual_arena_base - 1;
	size_t bytes = 0;

	while (next_arena(slot, &arena))
		bytes += allocated_in(arena_get(tsdn_fetch(), arena, false));
	return bytes;
}

/* ---- What jemalloc asks, in heap_glue.h ---- */

static unsigned arena_of(tsdn_t *tsdn, const void *block)
{
	return edata_arena_ind_get(emap_edata_lookup(tsdn, &arena_emap_global, block));
}

static bool is_own(tsdn_t *tsdn, unsigned arena, const tcache_t *cache)
{
	unsigned owner = atomic_load_explicit(&heap_group_owner[arena], memory_order_relaxed);

	/* A cache that the program has made is nobody's: only for what is in no group. */
	if (unlikely(cache != tsd_tcachep_get_unsafe(tsdn_tsd(tsdn))))
		return owner == 0;
	return owner == heap_own_group;
}

tcache_t *heap_group_cache_for(tsdn_t *tsdn, const void *block, tcache_t *cache)
{
	return is_own(tsdn, arena_of(tsdn, block), cache) ? cache : NULL;
}

void heap_group_place(tsdn_t *tsdn, const void *block, tcache_t **cache, arena_t **arena)
{
	unsigned index = arena_of(tsdn, block);

	if (*cache != NULL && *arena == NULL && is_own(tsdn, index, *cache))
		return;
	if (*arena == NULL &&
	    atomic_load_explicit(&heap_group_owner[index], memory_order_relaxed) != heap_own_group)
		*arena = arena_get(tsdn, index, false);
	*cache = NULL;
}

int heap_group_flags_beside(const void *block, int flags)
{
	unsigned index;

	if ((flags & MALLOCX_ARENA_MASK) != 0 ||
	    likely(!atomic_load_explicit(&heap_has_groups, memory_order_relaxed)))
		return flags;
	index = arena_of(tsdn_fetch(), block);
	if (atomic_load_explicit(&heap_group_owner[index], memory_order_relaxed) == heap_own_group)
		return flags;
	return (flags & ~MALLOCX_TCACHE_MASK) | (int)(MALLOCX_ARENA(index) | MALLOCX_TCACHE_NONE);
}

/* What thread.arena says holds outside of groups. A program may have read it inside of one: an
   arena of groups is for no thread, as it may be the next group's and be freed with that. */
void heap_arena_migrate(tsd_t *tsd, arena_t *from, arena_t *to)
{
	if (atomic_load_explicit(&states[arena_ind_get(to)].is_groups, memory_order_relaxed))
		return;
	heap_arenas_bound();
	if (likely(heap_own_group == 0))
		arena_migrate(tsd, from, to);
	else
		heap_group_set_home(tsd, to);
}
