/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From which of an arena's slabs a thread's cache is filled. jemalloc gives each thread a shard of
 * each bin, for as long as the thread lives. Here that holds for the smallest blocks alone, two of
 * which may share a line. Larger ones come from a shard of the processor that the thread runs on:
 * two processors write to no page that is the same, however many threads there are, and there are
 * no more slabs with room in them than processors need.
 */
#include "base/processor.h"
#include "heap/heap_fast.h"
#include "heap/heap_group.h"

/* With more processors, several share a shard: each has slabs with room of its own. */
#define SHARDS_MAX 4

/* So much in slabs that are not full each shard may have for itself, of each size. */
#define HOLES_BYTES ((size_t)256 << 10)

unsigned heap_shards_of(unsigned processors)
{
	return processors == 0 ? 1 : processors < SHARDS_MAX ? processors : SHARDS_MAX;
}

/* The smallest have slabs by thread, for as long as the blocks live. */
bool heap_is_by_processor(szind_t class)
{
	return bin_infos[class].n_shards > 1 &&
	       bin_infos[class].reg_size > HEAP_THREAD_SHARDED_BYTES;
}

/* A thread that is alone in its arena keeps to one shard, whatever processor it is on: to use more
   would take more memory. */
unsigned heap_shard(tsdn_t *tsdn, arena_t *arena, unsigned shards)
{
	int processor = -1;

	if (tsdn_null(tsdn))
		return 0;
	if (arena_nthreads_get(arena, false) > 1)
		processor = processor_now();
	return (processor >= 0 ? (unsigned)processor
	                       : tsd_binshardsp_get(tsdn_tsd(tsdn))->binshard[0]) %
	       shards;
}

/* The bytes of a shard's slabs that have room; the one in use counts where it has room for so many
   blocks. Read without the lock: a guess. */
static size_t bytes_with_room(arena_t *arena, szind_t class, unsigned shard, unsigned blocks)
{
	bin_t *bin = arena_get_bin(arena, class, shard);
	size_t slabs = bin->stats.nonfull_slabs;
	edata_t *slab = bin->slabcur;

	if (slab != NULL && edata_nfree_get(slab) >= blocks)
		slabs++;
	return slabs * bin_infos[class].slab_size;
}

/* What is free in the slabs of others is of use to all: a shard gets no new slab where another has
   more bytes than that of slabs that are not full; where memory was short once, any. All is read
   without locks: a guess. */
static unsigned shard_with_room(arena_t *arena, szind_t class, unsigned own)
{
	size_t most = heap_pcp_is_on() ? HOLES_BYTES : 0;
	unsigned best = own;

	for (unsigned i = 0; i < bin_infos[class].n_shards; i++) {
		size_t bytes = bytes_with_room(arena, class, i, 1);

		if (i != own && bytes > most) {
			best = i;
			most = bytes;
		}
	}
	return best;
}

void heap_arena_cache_bin_fill_small(tsdn_t *tsdn, arena_t *arena, cache_bin_t *bin,
                                     cache_bin_info_t *info, szind_t class, const unsigned count)
{
	unsigned shards = bin_infos[class].n_shards;
	uint8_t *shard = &tsd_binshardsp_get(tsdn_tsd(tsdn))->binshard[class], was = *shard;

	if (shards > 1 && heap_own_group == 0) {
		if (heap_is_by_processor(class))
			*shard = (uint8_t)heap_shard(tsdn, arena, shards);
		if (bytes_with_room(arena, class, *shard, count) == 0)
			*shard = (uint8_t)shard_with_room(arena, class, *shard);
	}
	arena_cache_bin_fill_small(tsdn, arena, bin, info, class, count);
	*shard = was;
}
