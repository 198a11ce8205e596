/* SPDX-License-Identifier: BSD-2-Clause */
#include "prometheus_totals.h"

#include <inttypes.h>
#include <stdlib.h>

#include "tool.h"

struct shared {
	const struct prometheus_process *first; /* gives it its labels */
	const struct stats_page *newest;        /* has the sum as it was last */
};

static const struct {
	const char *metric, *type, *help;
	size_t offset; /* in struct total_figures */
} metrics[] = {
	{"oomreclaim_total_limit_bytes", "gauge", "The limit that processes share by run --total.",
         offsetof(struct total_figures, limit)},
	{"oomreclaim_total_charged_bytes", "gauge", "Bytes that count against it, of all together.",
         offsetof(struct total_figures, charged)},
	{"oomreclaim_total_charged_peak_bytes", "gauge",
         "The most bytes that have counted against it.", offsetof(struct total_figures, peak)},
	{"oomreclaim_total_limit_times_met_total", "counter", "Mappings refused at it.",
         offsetof(struct total_figures, times_met)},
	{"oomreclaim_total_processes", "gauge", "Processes that share it.",
         offsetof(struct total_figures, processes)},
};

/* Returns how many there are. */
static size_t find(struct shared *found, const struct prometheus_process *processes, size_t count)
{
	size_t totals = 0;

	for (size_t i = 0; i < count; i++) {
		const struct stats_page *page = processes[i].page;
		size_t j = 0;

		if (page->total.id == 0)
			continue;
		while (j < totals && found[j].newest->total.id != page->total.id)
			j++;
		if (j == totals)
			found[totals++] = (struct shared){&processes[i], page};
		else if (page->updated_ns > found[j].newest->updated_ns)
			found[j].newest = page;
	}
	return totals;
}

static void put_metric(FILE *to, size_t metric, const struct shared *found, size_t totals)
{
	prometheus_head(to, metrics[metric].metric, metrics[metric].type, metrics[metric].help);
	for (size_t i = 0; i < totals; i++) {
		const char *figures = (const char *)&found[i].newest->total;

		fprintf(to, "%s{%s} %" PRIu64 "\n", metrics[metric].metric, found[i].first->labels,
		        *(const uint64_t *)(const void *)(figures + metrics[metric].offset));
	}
}

static void put_own(FILE *to, const struct prometheus_process *processes, size_t count)
{
	prometheus_head(to, "oomreclaim_total_own_bytes", "gauge",
	                "What a process has charged to the total that it shares.");
	for (size_t i = 0; i < count; i++)
		if (processes[i].page->total.id != 0)
			fprintf(to, "oomreclaim_total_own_bytes{%s} %" PRIu64 "\n",
			        processes[i].labels, processes[i].page->total.own);
}

void prometheus_totals(FILE *to, const struct prometheus_process *processes, size_t count)
{
	struct shared *found = calloc(count + 1, sizeof *found);
	size_t totals = found != NULL ? find(found, processes, count) : 0;

	for (size_t i = 0; i < COUNT(metrics); i++)
		put_metric(to, i, found, totals);
	free(found);
	put_own(to, processes, count);
}
