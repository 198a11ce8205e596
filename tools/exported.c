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

#define LEVELS_MAX 100
#define EVENTS_SHOWN 20

struct process {
	pid_t pid;
	uint64_t start;
	char *names;  /* command, unit and cgroup */
	char *labels; /* these and the slot */
	struct stats_page page;
};

static struct process *processes;
static size_t count;

/* command="...",unit="...",cgroup="...". The command is what ps has: arguments may be secret, and
   differ. */
static char *names_of(pid_t pid)
{
	char command[PAGE_COMM_MAX], unit[UNIT_BYTES], cgroup[CGROUP_BYTES], *names = NULL;
	size_t bytes;
	FILE *to = open_memstream(&names, &bytes);

	if (to == NULL)
		return NULL;
	page_comm(pid, command);
	unit_of(pid, unit, cgroup);
	fputs("command=", to);
	tool_quote(to, command);
	fputs(",unit=", to);
	tool_quote(to, unit);
	fputs(",cgroup=", to);
	tool_quote(to, cgroup);
	fclose(to);
	return names;
}

static void keep(pid_t pid, const struct stats_page *page, void *arg)
{
	struct process *grown = realloc(processes, (count + 1) * sizeof *processes);

	(void)arg;
	if (grown == NULL)
		return;
	processes = grown;
	/* One that has just ended has no time of its start any more. */
	processes[count].start = slots_start(pid);
	if (processes[count].start == 0 || (processes[count].names = names_of(pid)) == NULL)
		return;
	processes[count].pid = pid;
	processes[count].labels = NULL;
	processes[count++].page = *page;
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
	unsigned slot;

	if (slots_take(process->pid, process->start, process->names, &slot) &&
	    asprintf(&process->labels, "%s,slot=\"%u\"", process->names, slot) < 0)
		process->labels = NULL;
}

static void put_info(FILE *to)
{
	fputs("# HELP oomreclaim_process_info Which process it is.\n"
	      "# TYPE oomreclaim_process_info gauge\n",
	      to);
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

static const struct process *find(pid_t pid)
{
	for (size_t i = 0; i < count; i++)
		if (processes[i].pid == pid)
			return &processes[i];
	return NULL;
}

/* The nearest process above it that is shown too; 0 where there is none. Processes come and go
   meanwhile: a way that is longer leads in a circle. */
static pid_t parent_of(pid_t pid)
{
	for (unsigned level = 0; level < LEVELS_MAX && pid > 1; level++) {
		pid = page_parent(pid);
		if (find(pid) != NULL)
			return pid;
	}
	return 0;
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
	char command[PAGE_COMM_MAX], unit[UNIT_BYTES], cgroup[CGROUP_BYTES];
	const struct oomreclaim_stats *stats = &process->page.stats;

	page_comm(process->pid, command);
	unit_of(process->pid, unit, cgroup);
	fprintf(to, "{\"pid\": %d, \"parent\": %d", process->pid, parent_of(process->pid));
	put_number(to, "start", process->start);
	put_text(to, "command", command);
	put_text(to, "unit", unit);
	put_text(to, "cgroup", cgroup);
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
	for (size_t i = 0; i < count; i++) {
		free(processes[i].names);
		free(processes[i].labels);
	}
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
