/* SPDX-License-Identifier: BSD-2-Clause */
/* The settings high and low: above the one oomreclaimd is woken, and it works until the charge is
   below the other. As the kernel's watermarks and kswapd. */
#include <stdatomic.h>

#include "base/base.h"
#include "base/fork_data.h"
#include "config/options.h"
#include "limits/budget.h"
#include "limits/budget_inside.h"

/* The watermarks in bytes; SIZE_MAX: none. high_now is above high while oomreclaimd has not got
   below it: it is not woken for every mapping. */
static atomic_size_t high = SIZE_MAX;
static atomic_size_t high_now = SIZE_MAX;
static atomic_size_t low = SIZE_MAX;
/* The settings of both, each in a word, as one thread may change it while others read it: bytes, or
   per cent with the bit. */
#define IS_PERCENT (~(SIZE_MAX >> 1))
static atomic_size_t asked_high = IS_PERCENT, asked_low = IS_PERCENT;
/* Above the high one, a thread that is refused wakes oomreclaimd: what is free, but mapped, may be
   used again and again without one mapping more. Not if it has just found nothing to reclaim: until
   somebody else did. */
static atomic_bool wakes_when_met;

/* Wakes oomreclaimd. Set before the first mapping. */
static void (*wake)(void);

static size_t word_of(const struct watermark *watermark)
{
	return watermark->bytes > 0 ? min_size(watermark->bytes, ~IS_PERCENT)
	                            : IS_PERCENT | watermark->percent;
}

static size_t watermark_bytes(const atomic_size_t *asked)
{
	size_t limit = oomreclaim_get_limit(), word = get(asked), percent = word & ~IS_PERCENT;

	if ((word & IS_PERCENT) == 0)
		return word;
	/* A share of nothing is nothing. */
	if (percent == 0 || limit == SIZE_MAX)
		return SIZE_MAX;
	return limit / 100 * percent;
}

static void set_watermarks(size_t high_bytes, size_t low_bytes)
{
	/* Without a valid low one, nine tenths: each waking should be worth while. */
	if (high_bytes != SIZE_MAX && low_bytes >= high_bytes)
		low_bytes = high_bytes - high_bytes / 10;
	atomic_exchange(&low, high_bytes != SIZE_MAX ? low_bytes : SIZE_MAX);
	if (get(&high_now) == get(&high) || high_bytes == SIZE_MAX)
		set(&high_now, high_bytes);
	atomic_exchange(&high, high_bytes);
}

/* Of two threads one sees by the exchange what the other has changed, and sets them again. */
void budget_watermark_update(void)
{
	size_t high_bytes, low_bytes;

	do {
		high_bytes = watermark_bytes(&asked_high);
		low_bytes = watermark_bytes(&asked_low);
		set_watermarks(high_bytes, low_bytes);
	} while (high_bytes != watermark_bytes(&asked_high) ||
	         low_bytes != watermark_bytes(&asked_low));
}

void budget_watermark_init(void (*on_high)(void))
{
	wake = on_high;
	set(&asked_high, word_of(&options.high));
	set(&asked_low, word_of(&options.low));
}

/* Once, until it has been there. */
static void wake_once(void)
{
	set(&high_now, SIZE_MAX);
	wake();
}

void budget_note_committed(size_t bytes)
{
	if (unlikely(bytes > get(&high_now)))
		wake_once();
}

void budget_watermark_met(void)
{
	/* As wake_all_kswapds() at the kernel's slow path. */
	if (get(&high_now) != SIZE_MAX && budget_charged() > get(&high) &&
	    atomic_exchange_explicit(&wakes_when_met, false, memory_order_relaxed))
		wake_once();
}

void budget_watermark_fallen(size_t now)
{
	size_t wakes_at = get(&high_now);

	/* All of what oomreclaimd could not get rid of is gone by itself. */
	if (unlikely(wakes_at != SIZE_MAX && wakes_at > get(&high)) && now < get(&high))
		atomic_compare_exchange_strong_explicit(&high_now, &wakes_at, get(&high),
		                                        memory_order_relaxed, memory_order_relaxed);
}

void budget_watermark_wake(void)
{
	wake();
}

size_t budget_above_low(void)
{
	return budget_charged_above(get(&low));
}

void budget_watermarks(size_t *high_bytes, size_t *low_bytes)
{
	*high_bytes = get(&high);
	*low_bytes = get(&low);
}

void budget_watermark_done(bool is_below)
{
	size_t now = budget_charged(), bytes = get(&high), next = now;

	/* What could not be got below the watermark is not tried again before there is more; but
	   near the limit there never would be. What is below it, for the most part as free blocks
	   that are still mapped, is tried again when these do not suffice. */
	if (!is_below && budget_is_within(add_saturated(now, BUDGET_STEP_BYTES)))
		next = add_saturated(now, BUDGET_STEP_BYTES);
	set(&high_now, next > bytes ? next : bytes);
	atomic_store_explicit(&wakes_when_met, is_below, memory_order_relaxed);
}

void budget_reclaimed(void)
{
	atomic_store_explicit(&wakes_when_met, true, memory_order_relaxed);
}

void budget_set_high(const struct watermark *watermark)
{
	set(&asked_high, word_of(watermark));
	budget_watermark_update();
	if (budget_charged() > get(&high_now))
		wake_once();
}

void budget_watermark_fork_child(void)
{
	fork_reset(high_now, get(&high));
}
