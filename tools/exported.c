/* SPDX-License-Identifier: BSD-2-Clause */
#include "exported.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "page.h"
#include "prometheus.h"
#include "slots.h"
#include "tool.h"
#include "unit.h"
#include "view.h"

#define EVENTS_SHOWN 20

struct process {
	pid_t pid;
	uint64_t start;
	/* The command is what ps has: arguments may be secret, and differ. */
	char command[PAGE_COMM_MAX], unit[UNIT_BYTES], cgroup[CGROUP_BYTES];
	char *labels; /* these and the slot */
	struct stats_page page;
};

static struct process *processes;
static size_t count;

/* command="...",unit="...",cgroup="...". */
static char *names_of(const struct process *process)
{
	char *names = NULL;
	size_t bytes;
	FILE *to = open_memstream(&names, &bytes);

	if (to == NULL)
		return NULL;
	fputs("command=", to);
	tool_quote(to, process->command);
	fputs(",unit=", to);
	tool_quote(to, process->unit);
	fputs(",cgroup=", to);
	tool_quote(to, process->cgroup);
	fclose(to);
	return names;
}

static void keep(pid_t pid, const struct stats_page *page, void *arg)
{
	struct process *grown = realloc(processes, (count + 1) * sizeof *processes), *process;

	(void)arg;
	if (grown == NULL)
		return;
	processes = grown;
	process = &processes[count];
	/* One that has just ended has no time of its start any more. */
	process->start = slots_start(pid);
	if (process->start == 0)
		return;
	process->pid = pid;
	page_comm(pid, process->command);
	unit_of(pid, process->unit, process->cgroup);
	process->labels = NULL;
	process->page = *page;
	count++;
}

/* An exporter that is started anew gives the same slots as far as it can. */
static int by_start(const void *a, const void *b)
{
	const struct process *one = a, *other = b;

	if (one->start != other->start)
		return one->start < other->start ? -1 : 1;
	return one->pid < other->pid ? -1 : one->pid > other->pid;
}

static void label(struct process *process)
{
	char *names = names_of(process);
	unsigned slot;

	if (names != NULL && slots_take(process->pid, process->start, names, &slot) &&
	    asprintf(&process->labels, "%s,slot=\"%u\"", names, slot) < 0)
		process->labels = NULL;
	free(names);
}

static void put_info(FILE *to)
{
	prometheus_head(to, "oomreclaim_process_info", "gauge", "Which process it is.");
	for (size_t i = 0; i < count; i++) {
		if (processes[i].labels == NULL)
			continue;
		fprintf(to, "oomreclaim_process_info{%s,pid=\"%d\",policy=\"%s\",library=",
		        processes[i].labels, processes[i].pid,
		        view_policy(processes[i].page.policy));
		tool_quote(to, processes[i].page.library);
		fputs("} 1\n", to);
	}
}

static void put_metrics(FILE *to)
{
	struct prometheus_process *shown = calloc(count + 1, sizeof *shown);
	size_t labelled = 0;

	slots_forget_ended();
	for (size_t i = 0; i < count; i++)
		label(&processes[i]);
	for (size_t i = 0; shown != NULL && i < count; i++)
		if (processes[i].labels != NULL) {
			shown[labelled].labels = processes[i].labels;
			shown[labelled++].page = &processes[i].page;
		}
	put_info(to);
	prometheus_print(to, shown, labelled);
	free(shown);
}

/* ---- For the page ---- */

static bool is_shown(pid_t pid, const void *arg)
{
	(void)arg;
	for (size_t i = 0; i < count; i++)
		if (processes[i].pid == pid)
			return true;
	return false;
}

static void put_text(FILE *to, const char *name, const char *text)
{
	fprintf(to, ", \"%s\": ", name);
	tool_quote(to, text);
}

static void put_number(FILE *to, const char *name, uint64_t number)
{
	if (number == UINT64_MAX)
		fprintf(to, ", \"%s\": null", name);
	else
		fprintf(to, ", \"%s\": %" PRIu64, name, number);
}

static void put_events(FILE *to, const struct stats_page *page)
{
	char *text = NULL;
	size_t bytes;
	FILE *lines = open_memstream(&text, &bytes);

	if (lines == NULL)
		return;
	events_view(lines, page, EVENTS_SHOWN);
	if (fclose(lines) == 0)
		put_text(to, "events", text);
	free(text);
}

static void put_object(FILE *to, const struct process *process)
{
	const struct oomreclaim_stats *stats = &process->page.stats;

	fprintf(to, "{\"pid\": %d, \"parent\": %d", process->pid,
	        page_ancestor(process->pid, is_shown, NULL));
	put_number(to, "start", process->start);
	put_text(to, "command", process->command);
	put_text(to, "unit", process->unit);
	put_text(to, "cgroup", process->cgroup);
	put_number(to, "charged", stats->charged);
	put_number(to, "limit", stats->limit);
	put_number(to, "seconds_to_limit", view_left_s(&process->page));
	put_number(to, "resident", stats->heap_resident);
	put_number(to, "failures", stats->failures);
	put_number(to, "refused", stats->refused);
	put_number(to, "kills", stats->kills);
	put_events(to, &process->page);
	putc('}', to);
}

static void put_json(FILE *to)
{
	putc('[', to);
	for (size_t i = 0; i < count; i++) {
		fputs(i > 0 ? ",\n" : "", to);
		put_object(to, &processes[i]);
	}
	fputs("]\n", to);
}

/* ---- */

static void forget(void)
{
	for (size_t i = 0; i < count; i++)
		free(processes[i].labels);
	free(processes);
	processes = NULL;
	count = 0;
}

static char *make_text(void put_all(FILE *to), size_t *bytes)
{
	char *text = NULL;
	FILE *to = open_memstream(&text, bytes);

	if (to == NULL)
		return NULL;
	page_walk(keep, NULL);
	if (count > 0)
		qsort(processes, count, sizeof *processes, by_start);
	put_all(to);
	forget();
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}

char *exported_metrics(size_t *bytes)
{
	return make_text(put_metrics, bytes);
}

char *exported_json(size_t *bytes)
{
	return make_text(put_json, bytes);
}
