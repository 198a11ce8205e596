/* SPDX-License-Identifier: BSD-2-Clause */
#include "events.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "ladder/next_rung.h"
#include "tool.h"
#include "view.h"

static const char *const kinds[FLIGHT_KINDS] = {
	[FLIGHT_NONE] = "none",
	[FLIGHT_FAILURE] = "failure",
	[FLIGHT_STEP] = "step",
	[FLIGHT_CALLBACK_BEGIN] = "callback",
	[FLIGHT_CALLBACK_END] = "callback end",
	[FLIGHT_VERDICT] = "verdict",
	[FLIGHT_WATERMARK] = "watermark",
	[FLIGHT_PRESSURE] = "pressure",
	[FLIGHT_KILL] = "kill",
	[FLIGHT_FRAME] = "frame",
	[FLIGHT_CONTROL] = "control",
	[FLIGHT_GROUP] = "group",
};

static const char *kind_of(const struct flight_event *event)
{
	return event->kind < COUNT(kinds) ? kinds[event->kind] : "?";
}

static const char *step_of(const struct flight_event *event)
{
	static const char *const steps[RUNGS] = {
		[RUNG_FAIL] = "fail",
		[RUNG_LIFT] = "lift",
		[RUNG_OWN_RECLAIM] = "own reclaim",
		[RUNG_RESERVE] = "reserve",
		[RUNG_CALLBACKS] = "callbacks",
		[RUNG_NEIGHBOUR] = "neighbour",
		[RUNG_OWN_RECLAIM_AGAIN] = "own reclaim again",
		[RUNG_CANCEL] = "cancel",
		[RUNG_POLICY] = "policy",
		[RUNG_WAIT] = "wait",
		[RUNG_ABORT] = "abort",
		[RUNG_END] = "end",
		[RUNG_FORCE] = "force",
	};

	return event->detail < COUNT(steps) ? steps[event->detail] : "?";
}

static const char *reason_of(const struct flight_event *event)
{
	static const char *const reasons[] = {"?",     "alloc",     "manual",
	                                      "limit", "watermark", "pressure"};

	return event->detail < COUNT(reasons) ? reasons[event->detail] : "?";
}

static const char *signal_of(const struct flight_event *event)
{
	const char *name = sigabbrev_np(event->detail);

	return name != NULL ? name : "?";
}

/* Those that there are, the oldest first; returns how many. An event's number says where it is. */
static size_t sort(const struct stats_page *page, const struct flight_event *sorted[FLIGHT_EVENTS])
{
	uint64_t newest = 0;
	size_t count = 0;

	for (size_t i = 0; i < FLIGHT_EVENTS; i++)
		if (page->flight.event[i].number > newest)
			newest = page->flight.event[i].number;
	for (size_t i = 0; i < FLIGHT_EVENTS; i++) {
		const struct flight_event *event =
			&page->flight.event[(newest + i) % FLIGHT_EVENTS];

		if (event->number != 0)
			sorted[count++] = event;
	}
	return count;
}

static void put_time(FILE *to, uint64_t ns)
{
	time_t seconds = (time_t)(ns / 1000000000);
	char text[32] = "?";
	struct tm when;

	if (localtime_r(&seconds, &when) != NULL)
		strftime(text, sizeof text, "%F %T", &when);
	fprintf(to, "%s.%06" PRIu64, text, ns % 1000000000 / 1000);
}

/* What is in the program itself has no name. */
static const char *file_of(const struct flight_event *event)
{
	return event->name[0] != '\0' ? event->name : "the program";
}

static void put_caller(FILE *to, const struct flight_event *event)
{
	if (event->more == 0)
		return;
	fprintf(to, ", from %s+0x%" PRIx64, file_of(event), event->more);
}

static void put_event(FILE *to, const struct flight_event *event)
{
	put_time(to, event->time_ns);
	fprintf(to, " %7d %-12s ", event->thread, kind_of(event));
	switch (event->kind) {
	case FLIGHT_FAILURE:
		fprintf(to, "%" PRIu64 " bytes", event->bytes);
		put_caller(to, event);
		break;
	case FLIGHT_STEP:
		fprintf(to, "%s, for %" PRIu64 " bytes, %s claimed so far", step_of(event),
		        event->bytes, tool_size(event->more));
		break;
	case FLIGHT_CALLBACK_BEGIN:
		fprintf(to, "%s is asked for %s (%s)", event->name, tool_size(event->bytes),
		        reason_of(event));
		break;
	case FLIGHT_CALLBACK_END:
		fprintf(to, "%s claims %s after %.3f ms", event->name, tool_size(event->bytes),
		        (double)event->more / 1e6);
		break;
	case FLIGHT_VERDICT:
		fprintf(to, "%s, for %" PRIu64 " bytes", view_outcome(event->detail), event->bytes);
		if (event->detail != OOMRECLAIM_OUTCOME_SERVED)
			fprintf(to, ", constraint %s", event->name);
		if (event->more != 0)
			fprintf(to, ", process %" PRIu64, event->more);
		break;
	case FLIGHT_WATERMARK:
		fprintf(to, "%s charged, %s above low", tool_size(event->bytes),
		        tool_size(event->more));
		break;
	case FLIGHT_PRESSURE:
		fprintf(to, "%s charged, %s wanted", tool_size(event->bytes),
		        tool_size(event->more));
		break;
	case FLIGHT_KILL:
		fprintf(to, "SIG%s to process %" PRIu64, signal_of(event), event->more);
		if (event->bytes != 0)
			fprintf(to, " (%s), %s resident", event->name, tool_size(event->bytes));
		break;
	case FLIGHT_FRAME:
		fprintf(to, "%u: %s+0x%" PRIx64, event->detail, file_of(event), event->more);
		break;
	case FLIGHT_CONTROL:
		fprintf(to, "\"%s\" by process %" PRIu64 "%s", event->name, event->bytes,
		        event->detail != 0 ? ", refused" : "");
		break;
	case FLIGHT_GROUP:
		fprintf(to, "%s has %s charged, of at most %s", event->name,
		        tool_size(event->bytes), tool_size(event->more));
		break;
	default:
		break;
	}
	fputc('\n', to);
}

static void put_last(FILE *to, const struct flight_event *const *sorted, size_t found, size_t count)
{
	for (size_t i = found > count ? found - count : 0; i < found; i++)
		put_event(to, sorted[i]);
}

bool events_any(const struct stats_page *page)
{
	const struct flight_event *sorted[FLIGHT_EVENTS];

	return sort(page, sorted) != 0;
}

void events_view(FILE *to, const struct stats_page *page, size_t count)
{
	const struct flight_event *sorted[FLIGHT_EVENTS] = {NULL};
	size_t found = sort(page, sorted);

	put_last(to, sorted, found, count);
	if (found == 0)
		fprintf(to, "no event so far\n");
}

void events_view_until(FILE *to, const struct stats_page *page, uint64_t until, size_t count)
{
	const struct flight_event *sorted[FLIGHT_EVENTS] = {NULL};
	size_t found = sort(page, sorted);

	while (found > 0 && sorted[found - 1]->number > until)
		found--;
	put_last(to, sorted, found, count);
}

void events_view_after(FILE *to, const struct stats_page *page, uint64_t after, size_t count)
{
	const struct flight_event *sorted[FLIGHT_EVENTS] = {NULL};
	size_t found = sort(page, sorted), first = 0;

	while (first < found && sorted[first]->number <= after)
		first++;
	put_last(to, sorted + first, found - first, count);
}

void events_json(const struct stats_page *page)
{
	const struct flight_event *sorted[FLIGHT_EVENTS] = {NULL};
	size_t found = sort(page, sorted);

	putchar('[');
	for (size_t i = 0; i < found; i++) {
		const struct flight_event *event = sorted[i];

		printf("%s{\"number\": %" PRIu64 ", \"time_ns\": %" PRIu64
		       ", \"thread\": %d, \"event\": "
		       "\"%s\", \"detail\": %u, \"bytes\": %" PRIu64 ", \"more\": %" PRIu64
		       ", \"name\": ",
		       i > 0 ? ",\n  " : "", (uint64_t)event->number, event->time_ns, event->thread,
		       kind_of(event), event->detail, event->bytes, event->more);
		tool_put_quoted(event->name);
		putchar('}');
	}
	putchar(']');
}
