/* SPDX-License-Identifier: BSD-2-Clause */
#include "reclaim/target.h"

#include "base/base.h"

/* Products of bytes, costs and shares, of both signs. */
__extension__ typedef unsigned __int128 product;
__extension__ typedef __int128 sum;

/* The mean share, and the least: a cache that has next to nothing could not show that it needs
   more. */
#define SHARE_MEAN ((uint64_t)1 << 24)
#define SHARE_LEAST (SHARE_MEAN / 32)

/* A cache moves by a 24th at most in a step, and old regret counts for a quarter less with each: so
   the next step sees what came of the last, and a share does not swing. */
#define STEP_PART 24
#define SMOOTHING 4
#define RATE_ONE 16

/* Regret that makes a step: this part of what there is. */
#define STEP_REGRET_PART 256

/* What is not given to the caches: the heap needs some room to work in. And of what is left, as the
   heap takes more for a block than the cache counts for it, so a cache that grew by all of it would
   meet the limit. Where it has grown, less is left, and of that again it gets the most. */
#define MARGIN_PART 128
#define OVERHEAD_PART 8

/* More than a process can have, or than is missed in a step: the sums stay right. */
#define BYTES_MAX ((uint64_t)1 << 44)

void target_add(struct target_pass *pass, struct target *target, unsigned cost)
{
	if (target->share == 0)
		target->share = pass->caches > 0 ? pass->shares / pass->caches : SHARE_MEAN;
	pass->caches++;
	pass->shares += target->share;
	pass->costs += target->share * cost;
	pass->pool_bytes = add_saturated(pass->pool_bytes, target->size_bytes);
	pass->regret_bytes = add_saturated(pass->regret_bytes, target->regret_bytes);
}

void target_beside(struct target_pass *pass, size_t bytes, unsigned cost)
{
	product all = (product)pass->costs + (product)pass->shares * cost;

	if (all > 0)
		pass->pool_bytes = add_saturated(pass->pool_bytes,
		                                 (size_t)((product)min_size(bytes, BYTES_MAX) *
		                                          pass->costs / all));
}

bool target_aim(struct target_pass *pass, size_t headroom_bytes, size_t excess_bytes)
{
	size_t pool = add_saturated(pass->pool_bytes, headroom_bytes);

	if (headroom_bytes != SIZE_MAX) {
		pool -= headroom_bytes / OVERHEAD_PART;
		pool -= min_size(pool, excess_bytes);
		pool -= pool / MARGIN_PART;
	}
	pass->pool_bytes = pool;
	return pass->caches > 1 &&
	       pass->regret_bytes > min_size(pool, BYTES_MAX) / STEP_REGRET_PART;
}

static uint64_t gain(const struct target *target, unsigned cost)
{
	return target->rate * cost;
}

void target_take(struct target_pass *pass, struct target *target, unsigned cost)
{
	uint64_t now = min_size(target->regret_bytes, BYTES_MAX) * RATE_ONE;

	target->rate = target->rate - target->rate / SMOOTHING + now / SMOOTHING;
	target->regret_bytes = 0;
	pass->rates = add_saturated(pass->rates, gain(target, cost));
}

void target_move(const struct target_pass *pass, struct target *target, unsigned cost)
{
	product own = (product)gain(target, cost) * pass->shares,
		mean = (product)pass->rates * target->share;
	sum far;

	if (own + mean == 0)
		return;
	/* What a byte saves here, against the mean: from -1 to 1, as -65536 to 65536. */
	own >>= 16;
	mean >>= 16;
	far = ((sum)own - (sum)mean) / (sum)(((own + mean) >> 16) + 1);
	target->share += (uint64_t)((sum)target->share * far / (STEP_PART * (sum)65536));
	if (target->share < SHARE_LEAST)
		target->share = SHARE_LEAST;
}

void target_set(const struct target_pass *pass, struct target *target)
{
	target->bytes =
		pass->pool_bytes == SIZE_MAX
			? SIZE_MAX
			: (size_t)((product)pass->pool_bytes * target->share / pass->shares);
	/* So that the shares stay what they are in proportion, whoever comes and goes. */
	target->share =
		(uint64_t)((product)target->share * SHARE_MEAN * pass->caches / pass->shares);
}
