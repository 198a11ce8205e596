/* SPDX-License-Identifier: BSD-2-Clause */
#include "purgeables.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "oomreclaim.h"

#define SLOTS_SHARED 64

/* The thread that has taken the flag has the rest. */
static struct {
	atomic_flag is_taken;
	struct oomreclaim_purgeable *purgeable;
	size_t bytes;
} slots[SLOTS_SHARED];

static bool make(struct dice *dice, size_t slot)
{
	size_t bytes = dice_size(dice);
	const unsigned cost = 1 + (unsigned)dice_roll(dice, OOMRECLAIM_COST_MAX);

	oomreclaim_purgeable_free(slots[slot].purgeable);
	slots[slot].bytes = bytes;
	slots[slot].purgeable = oomreclaim_purgeable_alloc(bytes, cost);
	if (slots[slot].purgeable == NULL)
		return false;
	memset(oomreclaim_purgeable_block(slots[slot].purgeable), (int)slot, bytes);
	MUST(oomreclaim_purgeable_unpin(slots[slot].purgeable) == 0);
	return true;
}

/* Whole as long as it is pinned, whatever this thread or another needs meanwhile. */
static bool look(struct dice *dice, size_t slot)
{
	const unsigned char *content = oomreclaim_purgeable_pin(slots[slot].purgeable);

	if (content == NULL)
		return false;
	if (dice_once_in(dice, 8))
		block_free(block_new(dice, dice_size(dice)));
	for (size_t i = 0; i < slots[slot].bytes; i++)
		MUST(content[i] == slot);
	if (dice_once_in(dice, 8)) {
		free(oomreclaim_purgeable_take(slots[slot].purgeable));
		slots[slot].purgeable = NULL;
		return true;
	}
	MUST(oomreclaim_purgeable_unpin(slots[slot].purgeable) == 0);
	return true;
}

bool purgeables_use(struct dice *dice)
{
	size_t slot = dice_roll(dice, SLOTS_SHARED);
	bool is_there;

	if (atomic_flag_test_and_set(&slots[slot].is_taken))
		return true;
	is_there = look(dice, slot) || make(dice, slot);
	atomic_flag_clear(&slots[slot].is_taken);
	return is_there;
}

void purgeables_free(void)
{
	struct oomreclaim_stats stats;

	for (size_t slot = 0; slot < SLOTS_SHARED; slot++)
		oomreclaim_purgeable_free(slots[slot].purgeable);
	MUST(oomreclaim_stats_get(&stats, sizeof stats) == 0);
	/* Else it was no stress. */
	MUST(stats.purgeable == 0 && stats.purged > 0);
}
