/* SPDX-License-Identifier: BSD-2-Clause */
#include "reclaim/level.h"

#include <stdatomic.h>
#include <string.h>

#include "base/base.h"
#include "heap/heap_ops.h"
#include "limits/headroom.h"

/* What the system has reported holds for so long: sources report again within two seconds. */
#define PRESSING_NS (10 * NSEC_PER_SEC)

/* When it did last; 0: never. Relaxed: it stands for itself alone. */
static _Atomic uint64_t reported_ns;

void level_note_pressure(void)
{
	atomic_store_explicit(&reported_ns, now_ns(), memory_order_relaxed);
}

static bool is_failure(enum oomreclaim_reason reason)
{
	return reason == OOMRECLAIM_REASON_ALLOC || reason == OOMRECLAIM_REASON_LIMIT;
}

static enum oomreclaim_level higher(enum oomreclaim_level a, enum oomreclaim_level b)
{
	return a > b ? a : b;
}

/* At the limit there is nothing left, in a program that lives there at each failure: so it is the
   rounds that count. Where others are under the limit, somebody is killed next. */
static enum oomreclaim_level of_failure(const struct level_facts *facts,
                                        const struct level_thresholds *thresholds)
{
	if (facts->attempt >= thresholds->rounds_critical)
		return OOMRECLAIM_LEVEL_CRITICAL;
	if (facts->attempt >= thresholds->rounds_medium)
		return facts->is_shared ? OOMRECLAIM_LEVEL_CRITICAL : OOMRECLAIM_LEVEL_MEDIUM;
	return facts->is_shared ? OOMRECLAIM_LEVEL_MEDIUM : OOMRECLAIM_LEVEL_LOW;
}

static enum oomreclaim_level of_rest(unsigned percent, const struct level_thresholds *thresholds)
{
	if (percent < thresholds->left_critical)
		return OOMRECLAIM_LEVEL_CRITICAL;
	if (percent < thresholds->left_medium)
		return OOMRECLAIM_LEVEL_MEDIUM;
	return percent < thresholds->left_low ? OOMRECLAIM_LEVEL_LOW : OOMRECLAIM_LEVEL_NONE;
}

enum oomreclaim_level level_of(const struct level_facts *facts,
                               const struct level_thresholds *thresholds)
{
	enum oomreclaim_level level = OOMRECLAIM_LEVEL_NONE;

	if (facts->reason == OOMRECLAIM_REASON_ROOM)
		return OOMRECLAIM_LEVEL_NONE;
	if (is_failure(facts->reason))
		level = of_failure(facts, thresholds);
	else
		level = of_rest(facts->left_percent, thresholds);
	if (facts->reason == OOMRECLAIM_REASON_WATERMARK)
		level = higher(level, OOMRECLAIM_LEVEL_LOW);
	if (facts->reason == OOMRECLAIM_REASON_PRESSURE || facts->is_pressing)
		level = higher(level, OOMRECLAIM_LEVEL_MEDIUM);
	return level;
}

/* Of one that fails, "NONE" is the machine's memory. */
static bool is_shared(const struct reclaim_request *request)
{
	return is_failure(request->reason) && (strcmp(request->constraint, "CGROUP") == 0 ||
	                                       strcmp(request->constraint, "OVERCOMMIT") == 0 ||
	                                       strcmp(request->constraint, "NONE") == 0);
}

static bool is_pressing(void)
{
	uint64_t reported = atomic_load_explicit(&reported_ns, memory_order_relaxed);

	return reported != 0 && now_ns() - reported < PRESSING_NS;
}

/* The watermark is not a limit here: above it there is LOW anyway. */
static unsigned left_percent(void)
{
	struct headroom nearest;
	size_t left;

	headroom_nearest(&nearest, false);
	left = headroom_below(&nearest, heap_ops.evictable());
	if (left >= nearest.ceiling)
		return 100;
	return nearest.ceiling < 100 ? 0 : (unsigned)min_size(left / (nearest.ceiling / 100), 100);
}

enum oomreclaim_level level_by_rest(void)
{
	const struct level_facts facts = {.reason = OOMRECLAIM_REASON_MANUAL,
	                                  .is_pressing = is_pressing(),
	                                  .left_percent = left_percent()};

	return level_of(&facts, &options.levels);
}

enum oomreclaim_level level_now(const struct reclaim_request *request)
{
	const struct level_facts facts = {.reason = request->reason,
	                                  .attempt = request->attempt,
	                                  .is_shared = is_shared(request),
	                                  .is_pressing = is_pressing(),
	                                  .left_percent = left_percent()};

	return level_of(&facts, &options.levels);
}
