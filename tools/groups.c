/* SPDX-License-Identifier: BSD-2-Clause */
#include "groups.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "prometheus.h"
#include "tool.h"
#include "view.h"

#define PATH_BYTES (OOMRECLAIM_GROUP_DEPTH_MAX * (OOMRECLAIM_GROUP_NAME_MAX + 1) + 1)

#define IN_STATS(member) offsetof(struct stats_page_group, stats.member)

/* name: in JSON; metric, type, help: of Prometheus. */
static const struct {
	const char *name;
	const char *metric;
	const char *type;
	const char *help;
	size_t offset; /* of a uint64_t in struct stats_page_group */
} values[] = {
	{"charged", "oomreclaim_group_charged_bytes", "gauge",
         "Bytes charged to a group and its descendants.", IN_STATS(charged)},
	{"own", "oomreclaim_group_own_bytes", "gauge", "Bytes charged to a group itself.",
         IN_STATS(own)},
	{"peak", "oomreclaim_group_peak_bytes", "gauge", "The most bytes that were charged to it.",
         IN_STATS(peak)},
	{"allocated", "oomreclaim_group_allocated_bytes", "gauge",
         "Bytes in its own blocks, those in caches of threads included.", IN_STATS(allocated)},
	{"max", "oomreclaim_group_max_bytes", "gauge", "Its limit; absent if there is none.",
         offsetof(struct stats_page_group, max)},
	{"high", "oomreclaim_group_high_bytes", "gauge",
         "Above it threads inside are slowed down; absent if there is none.",
         offsetof(struct stats_page_group, high)},
	{"low", "oomreclaim_group_low_bytes", "gauge", "What is protected from reclaim for others.",
         offsetof(struct stats_page_group, low)},
	{"min", "oomreclaim_group_min_bytes", "gauge",
         "What is protected from it even where others have nothing.",
         offsetof(struct stats_page_group, min)},
	{"high_met", "oomreclaim_group_high_met_total", "counter", "Times it was above its high.",
         IN_STATS(high_met)},
	{"max_met", "oomreclaim_group_max_met_total", "counter",
         "Times its limit has refused pages.", IN_STATS(max_met)},
	{"reclaimed", "oomreclaim_group_reclaimed_bytes_total", "counter",
         "Bytes that callbacks said they freed for its limit.", IN_STATS(reclaimed)},
	{"cancels", "oomreclaim_group_cancels_total", "counter", "Times it was cancelled.",
         IN_STATS(cancels)},
	{"threads", "oomreclaim_group_threads", "gauge", "Threads inside.", IN_STATS(threads)},
	{"children", "oomreclaim_group_children", "gauge", "Groups just below it.",
         IN_STATS(children)},
};

const size_t groups_metrics_count = COUNT(values);

static uint64_t value_of(const struct stats_page_group *group, size_t value)
{
	return *(const uint64_t *)(const void *)((const char *)group + values[value].offset);
}

/* Names from the root on. `way` has those above the group, as it is the next one of its page. */
static const char *path_of(const struct stats_page_group *group,
                           const char *way[OOMRECLAIM_GROUP_DEPTH_MAX])
{
	static char path[PATH_BYTES];
	char *end = path;

	way[group->depth] = group->name;
	for (uint32_t i = 0; i <= group->depth; i++)
		end = stpcpy(stpcpy(end, "/"), way[i]);
	return path;
}

void groups_json(const struct stats_page *page)
{
	const char *way[OOMRECLAIM_GROUP_DEPTH_MAX] = {NULL};

	printf("\"groups\": %u, \"group\": [", page->groups_total);
	for (uint32_t i = 0; i < page->groups; i++) {
		const struct stats_page_group *group = &page->group[i];

		printf("%s{\"group\": %" PRIu64 ", \"name\": ", i > 0 ? ", " : "", group->group);
		tool_put_quoted(group->name);
		printf(", \"path\": ");
		tool_put_quoted(path_of(group, way));
		printf(", \"depth\": %u, \"policy\": \"%s\", \"score_adj\": %d, \"is_cancelled\": %s",
		       group->depth, view_policy(group->policy), group->score_adj,
		       group->is_cancelled ? "true" : "false");
		for (size_t j = 0; j < COUNT(values); j++)
			if (value_of(group, j) == UINT64_MAX)
				printf(", \"%s\": null", values[j].name);
			else
				printf(", \"%s\": %" PRIu64, values[j].name, value_of(group, j));
		putchar('}');
	}
	putchar(']');
}

void groups_metric_head(FILE *to, size_t metric)
{
	prometheus_head(to, values[metric].metric, values[metric].type, values[metric].help);
}

/* Groups need not have names of their own: where several share one, the number tells them apart. */
void groups_metric(FILE *to, size_t metric, const struct stats_page *page, const char *labels)
{
	const char *way[OOMRECLAIM_GROUP_DEPTH_MAX] = {NULL};

	for (uint32_t i = 0; i < page->groups; i++) {
		const struct stats_page_group *group = &page->group[i];
		const char *path = path_of(group, way);

		if (value_of(group, metric) == UINT64_MAX)
			continue;
		fprintf(to, "%s{%s,group=", values[metric].metric, labels);
		tool_quote(to, path);
		fprintf(to, ",number=\"%" PRIu64 "\"} %" PRIu64 "\n", group->group,
		        value_of(group, metric));
	}
}
