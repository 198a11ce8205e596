/* SPDX-License-Identifier: BSD-2-Clause */
#include "prometheus.h"

#include <inttypes.h>

#include "fields.h"
#include "groups.h"
#include "prometheus_totals.h"
#include "tool.h"
#include "view.h"

void prometheus_head(FILE *to, const char *metric, const char *type, const char *help)
{
	fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", metric, help, metric, type);
}

static void begin(FILE *to, const char *metric, const struct prometheus_process *process)
{
	fprintf(to, "%s{%s", metric, process->labels);
}

static void put_metric(FILE *to, const struct field *field,
                       const struct prometheus_process *processes, size_t count)
{
	prometheus_head(to, field->metric, field->type, field->help);
	for (size_t i = 0; i < count; i++) {
		uint64_t value = field_value(field, &processes[i].page->stats);

		if (value == UINT64_MAX)
			continue;
		begin(to, field->metric, &processes[i]);
		fprintf(to, "} %" PRIu64 "\n", value);
	}
}

static void put_growth(FILE *to, const struct prometheus_process *processes, size_t count)
{
	prometheus_head(to, "oomreclaim_charged_growth_bytes_per_second", "gauge",
	                "How fast it grows steadily, by the last minute; else 0.");
	for (size_t i = 0; i < count; i++) {
		begin(to, "oomreclaim_charged_growth_bytes_per_second", &processes[i]);
		fprintf(to, "} %" PRIu64 "\n", processes[i].page->growth);
	}
	prometheus_head(to, "oomreclaim_limit_seconds", "gauge",
	                "Until the limit is met at that rate; absent if it is not, within a week.");
	for (size_t i = 0; i < count; i++) {
		if (view_left_s(processes[i].page) == UINT64_MAX)
			continue;
		begin(to, "oomreclaim_limit_seconds", &processes[i]);
		fprintf(to, "} %" PRIu64 "\n", view_left_s(processes[i].page));
	}
}

static const struct {
	const char *metric;
	const char *type;
	const char *help;
	size_t offset; /* in struct stats_page_callback */
	double unit;
	bool is_cache; /* of one that has asked for a target */
} callback_metrics[] = {
	{"oomreclaim_callback_calls_total", "counter", "Calls of a callback.",
         offsetof(struct stats_page_callback, calls), 1, false},
	{"oomreclaim_callback_claimed_bytes_total", "counter", "Bytes that it said it freed.",
         offsetof(struct stats_page_callback, bytes_claimed), 1, false},
	{"oomreclaim_callback_measured_bytes_total", "counter", "Bytes that the heap saw freed.",
         offsetof(struct stats_page_callback, bytes_measured), 1, false},
	{"oomreclaim_callback_longest_seconds", "gauge", "Its longest call.",
         offsetof(struct stats_page_callback, longest_ns), 1e-9, false},
	{"oomreclaim_callback_counted_bytes", "gauge", "What the cache has.",
         offsetof(struct stats_page_callback, bytes_counted), 1, true},
	{"oomreclaim_callback_target_bytes", "gauge",
         "What it should have; absent if there is no limit.",
         offsetof(struct stats_page_callback, bytes_target), 1, true},
	{"oomreclaim_callback_regretted_bytes_total", "counter",
         "Misses that would have been hits in a larger cache.",
         offsetof(struct stats_page_callback, bytes_regretted), 1, true},
};

/* Callbacks need not have names of their own: where several share one, the number tells them
   apart. */
static void put_callback_metric(FILE *to, size_t metric, const struct prometheus_process *processes,
                                size_t count)
{
	prometheus_head(to, callback_metrics[metric].metric, callback_metrics[metric].type,
	                callback_metrics[metric].help);
	for (size_t i = 0; i < count; i++)
		for (uint32_t j = 0; j < processes[i].page->callbacks; j++) {
			const struct stats_page_callback *callback =
				&processes[i].page->callback[j];
			uint64_t value =
				*(const uint64_t *)(const void *)((const char *)callback +
			                                          callback_metrics[metric].offset);

			if ((callback_metrics[metric].is_cache && callback->bytes_target == 0) ||
			    value == UINT64_MAX)
				continue;
			begin(to, callback_metrics[metric].metric, &processes[i]);
			fputs(",callback=", to);
			tool_quote(to, callback->name);
			fprintf(to, ",priority=\"%d\",number=\"%u\"} %.17g\n", callback->priority,
			        j, (double)value * callback_metrics[metric].unit);
		}
}

static void put_group_metric(FILE *to, size_t metric, const struct prometheus_process *processes,
                             size_t count)
{
	groups_metric_head(to, metric);
	for (size_t i = 0; i < count; i++)
		groups_metric(to, metric, processes[i].page, processes[i].labels);
}

/* Of which those with the most charged have metrics of their own. */
static void put_groups(FILE *to, const struct prometheus_process *processes, size_t count)
{
	prometheus_head(to, "oomreclaim_groups", "gauge", "Groups that there are.");
	for (size_t i = 0; i < count; i++) {
		begin(to, "oomreclaim_groups", &processes[i]);
		fprintf(to, "} %u\n", processes[i].page->groups_total);
	}
}

void prometheus_print(FILE *to, const struct prometheus_process *processes, size_t count)
{
	for (size_t i = 0; i < fields_count; i++)
		put_metric(to, &fields[i], processes, count);
	put_growth(to, processes, count);
	prometheus_totals(to, processes, count);
	for (size_t i = 0; i < COUNT(callback_metrics); i++)
		put_callback_metric(to, i, processes, count);
	put_groups(to, processes, count);
	for (size_t i = 0; i < groups_metrics_count; i++)
		put_group_metric(to, i, processes, count);
}
