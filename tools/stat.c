/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim stat: the counters of one process, some, or all, once. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "fields.h"
#include "groups.h"
#include "page.h"
#include "prometheus.h"
#include "tool.h"
#include "view.h"

enum form { FORM_TEXT, FORM_JSON, FORM_PROMETHEUS };
static bool has_events; /* they are asked for */

static const struct option options_of_stat[] = {{"json", no_argument, NULL, 'j'},
                                                {"prometheus", no_argument, NULL, 'p'},
                                                {"events", no_argument, NULL, 'e'},
                                                {"help", no_argument, NULL, 'h'},
                                                {NULL, 0, NULL, 0}};

/* What is to be printed: all pages are read first, since Prometheus wants them metric by metric. */
static struct sample {
	pid_t pid;
	char comm[PAGE_COMM_MAX];
	struct stats_page page;
} * samples;
static size_t samples_count;

static void keep(pid_t pid, const struct stats_page *page, void *arg)
{
	struct sample *grown = realloc(samples, (samples_count + 1) * sizeof *samples);

	(void)arg;
	if (grown == NULL)
		return;
	samples = grown;
	samples[samples_count].pid = pid;
	page_comm(pid, samples[samples_count].comm);
	samples[samples_count++].page = *page;
}

/* ---- JSON ---- */

/* Of a shrinker alone; the target of one that has asked for it. */
static void put_json_cache(const struct stats_page_callback *cache)
{
	if (cache->counts > 0)
		printf(", \"bytes_counted\": %" PRIu64, cache->bytes_counted);
	if (cache->bytes_target == UINT64_MAX)
		printf(", \"bytes_target\": null");
	else if (cache->bytes_target > 0)
		printf(", \"bytes_target\": %" PRIu64, cache->bytes_target);
	if (cache->bytes_target > 0)
		printf(", \"bytes_regretted\": %" PRIu64, cache->bytes_regretted);
}

static void put_json_callbacks(const struct stats_page *page)
{
	printf("\"callback\": [");
	for (uint32_t i = 0; i < page->callbacks; i++) {
		const struct stats_page_callback *callback = &page->callback[i];

		printf("%s{\"name\": ", i > 0 ? ", " : "");
		tool_put_quoted(callback->name);
		printf(", \"priority\": %d, \"calls\": %" PRIu64 ", \"bytes_claimed\": %" PRIu64
		       ", \"bytes_measured\": %" PRIu64 ", \"longest_ns\": %" PRIu64,
		       callback->priority, callback->calls, callback->bytes_claimed,
		       callback->bytes_measured, callback->longest_ns);
		put_json_cache(callback);
		putchar('}');
	}
	putchar(']');
}

static void put_json_total(const struct total_figures *total)
{
	if (total->id == 0)
		printf("null");
	else
		printf("{\"id\": %" PRIu64 ", \"limit\": %" PRIu64 ", \"charged\": %" PRIu64
		       ", \"own\": %" PRIu64 ", \"peak\": %" PRIu64 ", \"times_met\": %" PRIu64
		       ", \"processes\": %" PRIu64 "}",
		       total->id, total->limit, total->charged, total->own, total->peak,
		       total->times_met, total->processes);
}

static void put_json(const struct sample *sample)
{
	const struct oomreclaim_stats *stats = &sample->page.stats;

	printf("{\"pid\": %d, \"name\": ", sample->pid);
	tool_put_quoted(sample->comm);
	printf(", \"library\": ");
	tool_put_quoted(sample->page.library);
	printf(", \"policy\": \"%s\", \"age_ms\": %" PRIu64, view_policy(sample->page.policy),
	       view_age_ms(&sample->page));
	for (size_t i = 0; i < fields_count; i++) {
		uint64_t value = field_value(&fields[i], stats);

		if (value == UINT64_MAX)
			printf(", \"%s\": null", fields[i].name);
		else
			printf(", \"%s\": %" PRIu64, fields[i].name, value);
	}
	printf(", \"growth_per_second\": %" PRIu64, sample->page.growth);
	if (view_left_s(&sample->page) == UINT64_MAX)
		printf(", \"seconds_to_limit\": null");
	else
		printf(", \"seconds_to_limit\": %" PRIu64, view_left_s(&sample->page));
	printf(", \"last_time_ns\": %" PRIu64 ", \"last_size\": %" PRIu64
	       ", \"last_outcome\": \"%s\", \"last_pid\": %d, \"last_constraint\": ",
	       stats->last_time_ns, stats->last_size, view_outcome(stats->last_outcome),
	       stats->last_pid);
	tool_put_quoted(stats->last_constraint);
	printf(", \"headroom_constraint\": ");
	tool_put_quoted(stats->headroom_constraint);
	printf(", \"pressure\": \"%s\", \"pressure_path\": ", view_pressure(sample->page.pressure));
	tool_put_quoted(sample->page.pressure_path);
	printf(", \"total\": ");
	put_json_total(&sample->page.total);
	printf(", ");
	put_json_callbacks(&sample->page);
	printf(", ");
	groups_json(&sample->page);
	if (has_events) {
		printf(", \"events\": ");
		events_json(&sample->page);
	}
	putchar('}');
}

static void print_json(bool is_list)
{
	if (is_list)
		putchar('[');
	for (size_t i = 0; i < samples_count; i++) {
		printf("%s", i > 0 ? ",\n " : "");
		put_json(&samples[i]);
	}
	printf(is_list ? "]\n" : "\n");
}

/* ---- Prometheus ---- */

/* To be freed; NULL where there is no memory. */
static char *labels_of(const struct sample *sample)
{
	char *labels = NULL;
	size_t bytes;
	FILE *to = open_memstream(&labels, &bytes);

	if (to == NULL)
		return NULL;
	fprintf(to, "pid=\"%d\",name=", sample->pid);
	tool_quote(to, sample->comm);
	fclose(to);
	return labels;
}

static void print_prometheus(void)
{
	struct prometheus_process *processes = calloc(samples_count + 1, sizeof *processes);
	char **labels = calloc(samples_count + 1, sizeof *labels);
	size_t count = 0;

	while (processes != NULL && labels != NULL && count < samples_count &&
	       (labels[count] = labels_of(&samples[count])) != NULL) {
		processes[count].labels = labels[count];
		processes[count].page = &samples[count].page;
		count++;
	}
	prometheus_print(stdout, processes, count);
	while (count > 0)
		free(labels[--count]);
	free(processes);
	free(labels);
}

/* ---- */

static void print(enum form form, bool is_list)
{
	switch (form) {
	case FORM_JSON:
		print_json(is_list);
		break;
	case FORM_PROMETHEUS:
		print_prometheus();
		break;
	case FORM_TEXT:
		for (size_t i = 0; i < samples_count; i++) {
			if (i > 0)
				putchar('\n');
			view_process(stdout, samples[i].pid, &samples[i].page);
			if (has_events)
				events_view(stdout, &samples[i].page, FLIGHT_EVENTS);
		}
	}
}

static int read_named(char **pids)
{
	static struct stats_page page;
	int status = TOOL_OK;
	pid_t pid;

	for (; *pids != NULL; pids++) {
		enum page_error error;

		if (!tool_parse_pid(*pids, &pid))
			return tool_usage(&command_stat, "stat: %s is no process number", *pids);
		error = page_read(pid, &page);
		if (error == PAGE_OK)
			keep(pid, &page, NULL);
		else
			status = page_fail(pid, error, &page);
	}
	return status;
}

static int run(int argc, char **argv)
{
	enum form form = FORM_TEXT;
	int option, status = TOOL_OK, flushed;
	bool is_one;

	while ((option = tool_next_option(&command_stat, argc, argv, options_of_stat)) != -1) {
		if (option == 'h')
			return tool_flush();
		if (option == '?')
			return TOOL_USAGE;
		if (option == 'e') {
			has_events = true;
			continue;
		}
		if (form != FORM_TEXT)
			return tool_usage(&command_stat,
			                  "stat: --json and --prometheus, but one of them");
		form = option == 'j' ? FORM_JSON : FORM_PROMETHEUS;
	}
	if (has_events && form == FORM_PROMETHEUS)
		return tool_usage(&command_stat, "stat: --prometheus has no place for --events");
	is_one = argc - optind == 1;
	if (optind < argc)
		status = read_named(argv + optind);
	else
		page_walk(keep, NULL);
	if (status == TOOL_USAGE || (samples_count == 0 && status != TOOL_OK))
		return status;
	if (samples_count == 0 && form == FORM_TEXT)
		return tool_fail(
			"no process that may be looked at shares statistics; start one with "
			"oomreclaim run --stats");
	print(form, !is_one);
	free(samples);
	flushed = tool_flush();
	return status != TOOL_OK ? status : flushed;
}

const struct tool_command command_stat = {
	.name = "stat",
	.letters = "+:h",
	.synopsis = "[--json | --prometheus] [--events] [PID...]",
	.summary = "prints the statistics of processes that run with stats:true",
	.options =
		"  --json         an object for one PID, else a list\n"
		"  --prometheus   the text format, as node_exporter's textfile collector reads it\n"
		"  --events       what has happened last as well, a line each; in JSON a list of objects\n"
		"Without a PID, all processes that may be looked at.\n",
	.run = run,
};
