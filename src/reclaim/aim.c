/* SPDX-License-Identifier: BSD-2-Clause */
/* How much memory the caches with a target have together: what they have, and what is left. */
#include "base/base.h"
#include "heap/heap_ops.h"
#include "limits/budget.h"
#include "limits/headroom.h"
#include "reclaim/reclaim.h"
#include "reclaim/visit.h"

/* How far the heap is above the nearest limit. */
static size_t excess_of(const struct headroom *nearest, size_t free_bytes)
{
	size_t charged = budget_charged(), limit = add_saturated(nearest->ceiling, free_bytes);

	return charged > limit ? charged - limit : 0;
}

static size_t used_bytes(size_t free_bytes)
{
	size_t charged = budget_charged();

	return charged - min_size(charged, free_bytes);
}

size_t reclaim_heap_bytes(void)
{
	return registry_has_caches() ? used_bytes(heap_ops.evictable()) : SIZE_MAX;
}

/* A call of its own: its frame is not under that of a callback. */
OOM_NOINLINE void reclaim_aim_caches(bool is_round)
{
	struct headroom nearest;
	struct registry_heap heap;
	size_t free_bytes;

	if (!registry_has_caches())
		return;
	headroom_nearest(&nearest, true);
	free_bytes = heap_ops.evictable();
	heap.headroom_bytes = headroom_below(&nearest, free_bytes);
	heap.excess_bytes = excess_of(&nearest, free_bytes);
	/* The last: what the heap grows by meanwhile is taken for a cache's. */
	heap.used_bytes = used_bytes(free_bytes);
	registry_set_targets(&heap, is_round);
}
