/* SPDX-License-Identifier: BSD-2-Clause */
#include "tenants.h"

#include <malloc.h>

#include "oomreclaim_group.h"

/* What threads that were made inside leave there: libc keeps their stacks, and what belongs to
   these. */
#define LEFT_BYTES_MAX ((size_t)256 << 10)

static oomreclaim_group tenants[TENANTS_MAX];
static size_t count;

void tenants_make(size_t wanted)
{
	/* Three deep. */
	for (count = 0; count < wanted; count++)
		MUST(oomreclaim_group_create("tenant",
		                             count % 3 == 0 ? OOMRECLAIM_GROUP_ROOT
		                                            : tenants[count - 1],
		                             &tenants[count]) == 0);
}

void tenants_enter(struct dice *dice)
{
	size_t at = dice_roll(dice, count + 1);

	if (count == 0)
		return;
	oomreclaim_group_enter(at < count ? tenants[at] : OOMRECLAIM_GROUP_ROOT);
	/* Never below what one block may take: scope NOFAIL has no answer for that. */
	if (at < count && dice_once_in(dice, 4))
		MUST(oomreclaim_group_set(tenants[at], OOMRECLAIM_GROUP_MAX,
		                          (int64_t)(4 + dice_roll(dice, 32)) << 20) == 0);
}

void tenants_end(void)
{
	struct oomreclaim_group_stats stats;

	if (count == 0)
		return;
	oomreclaim_group_enter(OOMRECLAIM_GROUP_ROOT);
	malloc_trim(0);
	while (count-- > 0) {
		MUST(oomreclaim_group_stats(tenants[count], &stats, sizeof stats) == 0);
		MUST(stats.allocated <= LEFT_BYTES_MAX && stats.threads == 0);
		MUST(stats.charged >= stats.allocated && stats.charged <= 4 * LEFT_BYTES_MAX);
		MUST(oomreclaim_group_destroy(tenants[count], 0) == 0);
	}
}
