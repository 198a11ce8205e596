/* SPDX-License-Identifier: BSD-2-Clause */
/* What groups have free goes back to the system, but for what is protected: heap_group.h has the
   contract. */
#include "base/base.h"
#include "heap/blocks.h"
#include "heap/heap_free.h"
#include "heap/heap_group.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"
#include "limits/group_low.h"

/* Of an extent that is larger than that: the rest stays free. Where there is no memory for its
   record, all of the extent does. */
static size_t evict_part(tsdn_t *tsdn, pac_t *pac, ecache_t *list, edata_t *extent, size_t most)
{
	edata_t *rest = extent_split_wrapper(tsdn, pac, pac_ehooks_get(pac), extent, most,
	                                     edata_size_get(extent) - most, false);

	ecache_dalloc(tsdn, pac, pac_ehooks_get(pac), list, rest != NULL ? rest : extent);
	return rest != NULL ? heap_evict_extent(tsdn, pac, extent) : 0;
}

static size_t evict_oldest(tsdn_t *tsdn, pac_t *pac, ecache_t *list, size_t most)
{
	edata_t *extent = ecache_evict(tsdn, pac, pac_ehooks_get(pac), list, 0);

	if (extent == NULL)
		return 0;
	if (edata_size_get(extent) > most && !edata_guarded_get(extent))
		return evict_part(tsdn, pac, list, extent, most);
	return heap_evict_extent(tsdn, pac, extent);
}

/* Whole extents, until that is wanted; no more than `most`. */
static size_t evict_arena(tsdn_t *tsdn, unsigned arena, size_t wanted, size_t most)
{
	pac_t *pac = pac_of(tsdn, arena);
	size_t given = 0, bytes = 1;

	while (pac != NULL && bytes > 0 && given < wanted && most - given >= PAGE) {
		size_t left = PAGE_FLOOR(most - given);

		bytes = evict_oldest(tsdn, pac, &pac->ecache_dirty, left);
		if (bytes == 0)
			bytes = evict_oldest(tsdn, pac, &pac->ecache_muzzy, left);
		given += bytes < left ? bytes : left;
	}
	return given;
}

static size_t evict_arenas(unsigned slot, size_t bytes, enum group_keeps keeps, bool is_limited)
{
	unsigned count = narenas_total_get();
	tsdn_t *tsdn = tsdn_fetch();
	size_t given = 0;

	for (unsigned i = manual_arena_base; i < count && given < bytes; i++) {
		unsigned group = group_of_arena(i);
		size_t most = SIZE_MAX;

		if (group == 0 || !group_is_within(group, slot))
			continue;
		if (is_limited)
			most = group_may_give(group, slot, keeps, heap_own_group);
		if (most > 0)
			given += evict_arena(tsdn, i, bytes - given, most);
	}
	return given;
}

size_t heap_group_evict(unsigned slot, size_t bytes, enum group_keeps keeps)
{
	size_t given;
	bool is_limited;

	blocks_drain();
	is_limited = group_begin_giving(slot, keeps);
	given = evict_arenas(slot, bytes, keeps, is_limited);
	if (is_limited)
		group_end_giving();
	return given;
}

/* Of one arena, or all. The control interface knows which of those made by hand are there. */
static void purge(unsigned arena)
{
	size_t mib[3], length = ARRAY_SIZE(mib);

	if (je_mallctlnametomib("arena.0.purge", mib, &length) != 0)
		return;
	mib[1] = arena;
	je_mallctlbymib(mib, length, NULL, NULL, NULL, 0);
}

void heap_purge(enum group_keeps keeps)
{
	unsigned count;

	if (!malloc_initialized())
		return;
	if (keeps == GROUP_KEEPS_NONE || !group_has_protection()) {
		purge(MALLCTL_ARENAS_ALL);
	} else {
		heap_group_evict(0, SIZE_MAX, keeps);
		count = narenas_total_get();
		for (unsigned i = 0; i < count; i++)
			if (group_of_arena(i) == 0)
				purge(i);
	}
	heap_purge_refused();
}
