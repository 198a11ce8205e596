/* SPDX-License-Identifier: BSD-2-Clause */
#include "heap/keep.h"

#include "base/base.h"

/* The peak comes down by an eighth of what it is above the bytes in use, each epoch. */
#define PEAK_STEP 8

/* All together may be so much more than the peak: with less, blocks seldom fit what is free; with
   more, the program would be much larger than with jemalloc. For huge blocks that is less, as
   jemalloc keeps nothing of these; of others it keeps what is free in smaller extents, and that
   counts here too. */
#define HUGE_PART 8
#define OTHER_PART 4

static uint64_t epochs_since(const struct keep *keep, uint64_t now_ms)
{
	return now_ms > keep->at_ms ? (now_ms - keep->at_ms) / KEEP_EPOCH_MS : 0;
}

/* Nothing has happened in any epoch but the first. */
static void forget(struct keep *keep, uint64_t epochs, size_t in_use)
{
	size_t above = keep->peak - in_use;

	keep->unclaimed = 0;
	keep->kept = min_size(keep->kept, keep->high);
	keep->kept -= min_size(keep->kept, keep->low / 2);
	keep->kept = epochs <= 32 ? keep->kept >> (epochs - 1) : 0;
	for (uint64_t i = 0; i < epochs && above > 0; i++)
		above -= above / PEAK_STEP + (above < PEAK_STEP);
	keep->peak = in_use + above;
}

void keep_age(struct keep *keep, uint64_t now_ms, size_t in_use, size_t free_bytes)
{
	uint64_t epochs = epochs_since(keep, now_ms);

	if (keep->peak < in_use)
		keep->peak = in_use;
	if (keep->low > free_bytes)
		keep->low = free_bytes;
	if (keep->high < free_bytes)
		keep->high = free_bytes;
	if (epochs == 0)
		return;
	forget(keep, epochs, in_use);
	keep->low = keep->high = free_bytes;
	keep->at_ms = now_ms;
}

void keep_gave(struct keep *keep, size_t bytes)
{
	keep->unclaimed = add_saturated(keep->unclaimed, bytes);
}

void keep_took(struct keep *keep, size_t bytes)
{
	size_t again = min_size(bytes, keep->unclaimed);

	keep->unclaimed -= again;
	keep->kept = min_size(add_saturated(keep->kept, again), keep->peak);
}

/* By the mix that is in use now, in steps of a 256th. */
static size_t above_peak(size_t peak, size_t in_use, size_t huge)
{
	size_t step = in_use / 256 + 1, huge_steps = min_size(huge, in_use) / step;

	return peak / HUGE_PART + (peak / OTHER_PART - peak / HUGE_PART) / 256 * (256 - huge_steps);
}

size_t keep_allowed(const struct keep *keep, size_t in_use, size_t huge, size_t other)
{
	size_t peak = keep->peak > in_use ? keep->peak : in_use;
	size_t most = add_saturated(peak, above_peak(peak, in_use, huge)),
	       taken = add_saturated(in_use, other);

	/* No more than is in use: a program that frees nearly all it has keeps nearly none of
	   it. */
	return min_size(keep->kept, min_size(most > taken ? most - taken : 0, in_use));
}
