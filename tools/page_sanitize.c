/* SPDX-License-Identifier: BSD-2-Clause */
/* Root may look at any process, and a process may have written anything into its page. */
#include "page.h"
#include "tool.h"

/* Each is at most one level below the one before it. */
static void sanitize_groups(struct stats_page *page)
{
	uint32_t deepest = 0;

	if (page->groups > STATS_PAGE_GROUPS)
		page->groups = STATS_PAGE_GROUPS;
	if (page->groups_total < page->groups)
		page->groups_total = page->groups;
	for (uint32_t i = 0; i < page->groups; i++) {
		struct stats_page_group *group = &page->group[i];

		group->name[OOMRECLAIM_GROUP_NAME_MAX] = '\0';
		tool_clean(group->name);
		if (group->depth > deepest)
			group->depth = deepest;
		deepest = group->depth + 1;
		if (deepest >= OOMRECLAIM_GROUP_DEPTH_MAX)
			deepest = OOMRECLAIM_GROUP_DEPTH_MAX - 1;
	}
}

void page_sanitize(struct stats_page *page)
{
	page->library[sizeof page->library - 1] = '\0';
	tool_clean(page->library);
	page->stats.last_constraint[sizeof page->stats.last_constraint - 1] = '\0';
	tool_clean(page->stats.last_constraint);
	page->stats.headroom_constraint[sizeof page->stats.headroom_constraint - 1] = '\0';
	tool_clean(page->stats.headroom_constraint);
	for (size_t i = 0; i < FLIGHT_EVENTS; i++) {
		page->flight.event[i].name[FLIGHT_NAME_MAX] = '\0';
		tool_clean(page->flight.event[i].name);
	}
	page->pressure_path[STATS_PAGE_PATH_MAX] = '\0';
	tool_clean(page->pressure_path);
	if (page->callbacks > CALLBACKS_SHOWN)
		page->callbacks = CALLBACKS_SHOWN;
	for (uint32_t i = 0; i < page->callbacks; i++) {
		page->callback[i].name[OOMRECLAIM_NAME_MAX] = '\0';
		tool_clean(page->callback[i].name);
	}
	sanitize_groups(page);
}
