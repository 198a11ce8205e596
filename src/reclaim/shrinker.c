/* SPDX-License-Identifier: BSD-2-Clause */
#include "reclaim/shrinker.h"

#include "base/base.h"

/* Products of bytes and weights, and sums of both signs. */
__extension__ typedef unsigned __int128 product;
__extension__ typedef __int128 sum;

/* More than a process can have: so a count that is wrong leaves the sums right. */
#define COUNT_MAX ((size_t)1 << 47)

static size_t max(size_t a, size_t b)
{
	return a > b ? a : b;
}

static bool is_lower(const struct shrink_rate *a, const struct shrink_rate *b)
{
	return (product)a->bytes * b->weight < (product)b->bytes * a->weight;
}

/* Its size over its cost. */
static uint64_t weight_of(const struct shrinker *shrinker)
{
	uint64_t weight = min_size(shrinker->counted_bytes, COUNT_MAX) * OOMRECLAIM_COST_MAX;

	return max(weight / shrinker->cost >> shrinker->doubts, 1);
}

/* Less is not asked for. */
static size_t least_of(const struct shrinker *shrinker)
{
	return min_size(max(shrinker->batch, SHRINK_LEAST), shrinker->counted_bytes);
}

static sum clamp(sum value, sum low, sum high)
{
	if (value < low)
		return low;
	return value < high ? value : high;
}

void shrink_pass_add(struct shrink_pass *pass, const struct shrinker *shrinker,
                     oomreclaim_handle handle)
{
	sum still = (sum)least_of(shrinker) - shrinker->due_bytes;
	struct shrink_rate ready = {.bytes = (uint64_t)clamp(still, 0, SIZE_MAX),
	                            .weight = weight_of(shrinker)};

	if (shrinker->counted_bytes == 0)
		return;
	pass->weight = add_saturated(pass->weight, ready.weight);
	if (pass->first == 0 || is_lower(&ready, &pass->ready))
		pass->ready = ready;
	if (pass->first == 0 || shrinker->turn < pass->first_turn) {
		pass->first = handle;
		pass->first_turn = shrinker->turn;
	}
	pass->latest_turn = max(pass->latest_turn, shrinker->turn);
}

void shrink_pass_aim(struct shrink_pass *pass, size_t missing_bytes)
{
	pass->rate = (struct shrink_rate){.bytes = missing_bytes, .weight = pass->weight};
	/* Parts that are all put off would lead to nothing. */
	if (is_lower(&pass->rate, &pass->ready))
		pass->rate = pass->ready;
}

size_t shrinker_share(const struct shrinker *shrinker, const struct shrink_pass *pass)
{
	const struct shrink_rate *rate = &pass->rate;
	product share;

	/* None has less than all of it when nothing else is left to ask. */
	if (shrinker->counted_bytes == 0 || pass->pressure == SHRINK_PRESSURE_MAX)
		return shrinker->counted_bytes;
	/* Rounded up: the sum is not to be a few bytes short. */
	share = ((product)weight_of(shrinker) * rate->bytes << 2 * pass->pressure) + rate->weight -
	        1;
	share /= rate->weight;
	return share < shrinker->counted_bytes ? (size_t)share : shrinker->counted_bytes;
}

size_t shrinker_work(const struct shrinker *shrinker, const struct shrink_pass *pass, size_t share)
{
	if (pass->pressure == SHRINK_PRESSURE_MAX)
		return share;
	return (size_t)clamp((sum)share + shrinker->due_bytes, 0, (sum)shrinker->counted_bytes);
}

size_t shrinker_ask(const struct shrinker *shrinker, size_t work, size_t missing_bytes)
{
	size_t least = least_of(shrinker);

	if (work < least)
		return 0;
	return min_size(work, shrinker->batch != 0 ? least : max(missing_bytes, least));
}

void shrinker_defer(struct shrinker *shrinker, const struct shrink_pass *pass, size_t share,
                    size_t given_bytes)
{
	/* One that could not give for long is not emptied when it can, nor one spared that gave
	   all. */
	const sum most = (sum)(shrinker->counted_bytes / 2);
	sum due = (sum)shrinker->due_bytes - (sum)given_bytes;

	/* What the pressure adds makes up for others. */
	if (pass->pressure == 0)
		due += (sum)share;
	shrinker->due_bytes = (int64_t)clamp(due, -most, most);
}

void shrinker_judge(struct shrinker *shrinker, size_t claimed_bytes, size_t measured_bytes)
{
	if (measured_bytes > 0)
		shrinker->doubts = 0;
	else if (claimed_bytes > 0 && shrinker->doubts < SHRINK_DOUBTS_MAX)
		shrinker->doubts++;
}
