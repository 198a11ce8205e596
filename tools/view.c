/* SPDX-License-Identifier: BSD-2-Clause */
#include "view.h"

#include <inttypes.h>
#include <time.h>

#include "page.h"
#include "tool.h"

const char *view_outcome(uint32_t outcome)
{
	static const char *const names[] = {"none",  "served", "NULL",
	                                    "abort", "kill",   "kill other"};

	return outcome < COUNT(names) ? names[outcome] : "?";
}

const char *view_level(uint64_t level)
{
	if (level >= OOMRECLAIM_LEVEL_CRITICAL)
		return "critical";
	if (level >= OOMRECLAIM_LEVEL_MEDIUM)
		return "medium";
	return level >= OOMRECLAIM_LEVEL_LOW ? "low" : "none";
}

const char *view_policy(uint32_t policy)
{
	static const char *const names[] = {"return", "abort", "kill", "retry", "cancel"};

	return policy < COUNT(names) ? names[policy] : "?";
}

const char *view_pressure(uint32_t pressure)
{
	static const char *const names[] = {"none", "event", "stall", "events", "usage"};

	return pressure < COUNT(names) ? names[pressure] : "?";
}

uint64_t view_age_ms(const struct stats_page *page)
{
	struct timespec now;
	uint64_t now_ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	return now_ns > page->updated_ns ? (now_ns - page->updated_ns) / 1000000 : 0;
}

/* How full, from 0 to BAR_WIDTH. */
#define BAR_WIDTH 40

static int share(uint64_t of, uint64_t whole)
{
	if (whole == 0 || of >= whole)
		return BAR_WIDTH;
	return (int)((double)of / (double)whole * BAR_WIDTH);
}

/* '#' for what is charged, '|' where a watermark is. */
static void put_bar(FILE *to, const struct oomreclaim_stats *stats)
{
	int charged = share(stats->charged, stats->limit);

	fprintf(to, "          [");
	for (int i = 0; i < BAR_WIDTH; i++) {
		char mark = i < charged ? '#' : '.';

		if ((stats->high != UINT64_MAX && i == share(stats->high, stats->limit)) ||
		    (stats->low != UINT64_MAX && i == share(stats->low, stats->limit)))
			mark = '|';
		fputc(mark, to);
	}
	fprintf(to, "] %.0f%%\n", (double)stats->charged / (double)stats->limit * 100);
}

static void put_budget(FILE *to, const struct oomreclaim_stats *stats)
{
	fprintf(to, "budget    charged %s  limit %s  peak %s  met %" PRIu64 " times\n",
	        tool_size(stats->charged), tool_limit(stats->limit), tool_size(stats->charged_peak),
	        stats->limit_times_met);
	if (stats->limit != UINT64_MAX && stats->limit > 0)
		put_bar(to, stats);
	fprintf(to, "          watermarks: high %s  low %s  reserve %s\n", tool_limit(stats->high),
	        tool_limit(stats->low), tool_size(stats->reserve));
}

#define WEEK_S (7 * 24 * 3600ULL)

uint64_t view_left_s(const struct stats_page *page)
{
	const struct oomreclaim_stats *stats = &page->stats;
	uint64_t left;

	if (stats->limit == UINT64_MAX || page->growth == 0)
		return UINT64_MAX;
	left = stats->limit > stats->charged ? (stats->limit - stats->charged) / page->growth : 0;
	return left <= WEEK_S ? left : UINT64_MAX;
}

const char *view_time(uint64_t seconds)
{
	static char text[32];
	unsigned s = (unsigned)(seconds % 60), m = (unsigned)(seconds / 60 % 60),
		 h = (unsigned)(seconds / 3600 % 24), d = (unsigned)(seconds / 86400 % 1000);

	if (seconds == UINT64_MAX)
		return "-";
	if (d > 0)
		snprintf(text, sizeof text, "%ud%02uh", d, h);
	else if (h > 0)
		snprintf(text, sizeof text, "%uh%02um", h, m);
	else if (m > 0)
		snprintf(text, sizeof text, "%um%02us", m, s);
	else
		snprintf(text, sizeof text, "%us", s);
	return text;
}

static void put_growth(FILE *to, const struct stats_page *page)
{
	uint64_t left = view_left_s(page);

	if (left != UINT64_MAX)
		fprintf(to, "          grows by %s a second: the limit in %s\n",
		        tool_size(page->growth), view_time(left));
}

static void put_headroom(FILE *to, const struct oomreclaim_stats *stats)
{
	if (stats->headroom == UINT64_MAX)
		fprintf(to, "headroom  no limit is known, level %s\n", view_level(stats->level));
	else
		fprintf(to, "headroom  %s, constraint %s, level %s\n", tool_size(stats->headroom),
		        stats->headroom_constraint, view_level(stats->level));
}

static void put_total(FILE *to, const struct total_figures *total)
{
	if (total->id == 0)
		return;
	fprintf(to,
	        "total     charged %s  limit %s  peak %s  met %" PRIu64 " times  processes %" PRIu64
	        "  this one %s\n",
	        tool_size(total->charged), tool_size(total->limit), tool_size(total->peak),
	        total->times_met, total->processes, tool_size(total->own));
}

static void put_ladder(FILE *to, const struct oomreclaim_stats *stats)
{
	fprintf(to,
	        "failures  %" PRIu64 ": %" PRIu64 " served, %" PRIu64 " refused, of these %" PRIu64
	        " impossible\n",
	        stats->failures, stats->served, stats->refused, stats->impossible);
	fprintf(to,
	        "rungs     own reclaim %" PRIu64 "  reserve %" PRIu64 "  callbacks %" PRIu64
	        " (%" PRIu64 " timeouts)  policy %" PRIu64 "  kill %" PRIu64 "  wait %" PRIu64 "\n",
	        stats->own_reclaims, stats->reserve_uses, stats->rounds, stats->timeouts,
	        stats->policies, stats->kills, stats->waits);
	fprintf(to, "reclaim   direct: %" PRIu64 " rounds, %s claimed, %s measured\n",
	        stats->direct_rounds, tool_size(stats->direct_bytes_claimed),
	        tool_size(stats->direct_bytes_measured));
	fprintf(to, "          background: %" PRIu64 " rounds, %s claimed, %s measured\n",
	        stats->background_rounds, tool_size(stats->background_bytes_claimed),
	        tool_size(stats->background_bytes_measured));
	if (stats->purgeable > 0 || stats->purged > 0)
		fprintf(to, "          purgeable blocks: %s, %s purged\n",
		        tool_size(stats->purgeable), tool_size(stats->purged));
}

static void put_pressure(FILE *to, const struct stats_page *page)
{
	static const char *const meanings[] = {
		"not watched",
		"told by",
		"looked for in the total of",
		"looked for in, beside the usage,",
		"looked for in, beside the usage,",
	};

	if (page->pressure == STATS_PRESSURE_NONE || page->pressure >= COUNT(meanings))
		fprintf(to, "pressure  %s\n", meanings[STATS_PRESSURE_NONE]);
	else
		fprintf(to, "pressure  %s %s\n", meanings[page->pressure], page->pressure_path);
}

static void put_last(FILE *to, const struct oomreclaim_stats *stats)
{
	time_t seconds = (time_t)(stats->last_time_ns / 1000000000);
	struct tm when;
	char text[32] = "?";

	if (stats->last_outcome == OOMRECLAIM_OUTCOME_NONE) {
		fprintf(to, "last      no failure so far\n");
		return;
	}
	if (localtime_r(&seconds, &when) != NULL)
		strftime(text, sizeof text, "%F %T", &when);
	fprintf(to, "last      %s: %s for %s bytes", text, view_outcome(stats->last_outcome),
	        tool_size(stats->last_size));
	/* What was served did not come to the rung that finds it out. */
	if (stats->last_outcome != OOMRECLAIM_OUTCOME_SERVED)
		fprintf(to, ", constraint %s", stats->last_constraint);
	if (stats->last_pid != 0)
		fprintf(to, ", process %d", stats->last_pid);
	fputc('\n', to);
}

static void put_callbacks(FILE *to, const struct stats_page *page)
{
	if (page->callbacks == 0) {
		fprintf(to, "callbacks none\n");
		return;
	}
	fprintf(to, "callbacks priority      calls   claimed  measured     longest  name\n");
	for (uint32_t i = 0; i < page->callbacks; i++) {
		const struct stats_page_callback *callback = &page->callback[i];

		fprintf(to, "       %11d %10" PRIu64 "  %8s  %8s %8.2f ms  %s\n",
		        callback->priority, callback->calls, tool_size(callback->bytes_claimed),
		        tool_size(callback->bytes_measured), (double)callback->longest_ns / 1e6,
		        callback->name);
	}
	if (page->stats.callbacks > page->callbacks)
		fprintf(to, "          ... and %" PRIu64 " more\n",
		        page->stats.callbacks - page->callbacks);
}

/* The shrinkers among the callbacks; "-" is one that has never asked for a target. */
static void put_caches(FILE *to, const struct stats_page *page)
{
	bool has_head = false;

	for (uint32_t i = 0; i < page->callbacks; i++) {
		const struct stats_page_callback *cache = &page->callback[i];

		if (cache->counts == 0 && cache->bytes_target == 0)
			continue;
		if (!has_head)
			fprintf(to, "caches      counted    target  regretted  name\n");
		has_head = true;
		fprintf(to, "           %8s  %8s   %8s  %s\n", tool_size(cache->bytes_counted),
		        cache->bytes_target > 0 ? tool_limit(cache->bytes_target) : "-",
		        tool_size(cache->bytes_regretted), cache->name);
	}
}

static void put_groups(FILE *to, const struct stats_page *page)
{
	if (page->groups == 0)
		return;
	fprintf(to, "groups    charged      own     peak      max  max met  threads  name\n");
	for (uint32_t i = 0; i < page->groups; i++) {
		const struct stats_page_group *group = &page->group[i];

		fprintf(to, "         %8s %8s %8s %8s %8" PRIu64 " %8" PRIu64 "  %*s%s",
		        tool_size(group->stats.charged), tool_size(group->stats.own),
		        tool_size(group->stats.peak), tool_limit(group->max), group->stats.max_met,
		        group->stats.threads, (int)(2 * group->depth), "", group->name);
		if (group->is_cancelled)
			fprintf(to, " (cancelled)");
		fputc('\n', to);
	}
	if (page->groups_total > page->groups)
		fprintf(to, "          ... and %u more, with less charged\n",
		        page->groups_total - page->groups);
}

void view_process(FILE *to, pid_t pid, const struct stats_page *page)
{
	const struct oomreclaim_stats *stats = &page->stats;
	char comm[PAGE_COMM_MAX];

	page_comm(pid, comm);
	fprintf(to, "process   %d (%s), oomreclaim %s, policy %s, as of %.1f s ago\n", pid, comm,
	        page->library, view_policy(page->policy), (double)view_age_ms(page) / 1000);
	fprintf(to, "heap      allocated %s  active %s  dirty %s  metadata %s\n",
	        tool_size(stats->heap_allocated), tool_size(stats->heap_active),
	        tool_size(stats->heap_dirty), tool_size(stats->heap_metadata));
	fprintf(to, "          resident %s  mapped %s  retained %s\n",
	        tool_size(stats->heap_resident), tool_size(stats->heap_mapped),
	        tool_size(stats->heap_retained));
	put_budget(to, stats);
	put_growth(to, page);
	put_headroom(to, stats);
	put_total(to, &page->total);
	put_ladder(to, stats);
	put_pressure(to, page);
	put_last(to, stats);
	put_callbacks(to, page);
	put_caches(to, page);
	put_groups(to, page);
}

void view_totals(FILE *to, const struct total_figures *totals, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fprintf(to, "total %s of %s by %" PRIu64 " processes, met %" PRIu64 " times\n",
		        tool_size(totals[i].charged), tool_size(totals[i].limit),
		        totals[i].processes, totals[i].times_met);
}

void view_head(FILE *to)
{
	fprintf(to,
	        "    PID ALLOCATED RESIDENT  CHARGED    LIMIT  FAILED REFUSED  KILLS LAST       "
	        "COMMAND\n");
}

void view_line(FILE *to, pid_t pid, const struct stats_page *page)
{
	const struct oomreclaim_stats *stats = &page->stats;
	char comm[PAGE_COMM_MAX];

	page_comm(pid, comm);
	fprintf(to, "%7d %9s %8s %8s %8s %7" PRIu64 " %7" PRIu64 " %6" PRIu64 " %-10s %s\n", pid,
	        tool_size(stats->heap_allocated), tool_size(stats->heap_resident),
	        tool_size(stats->charged), tool_limit(stats->limit), stats->failures,
	        stats->refused, stats->kills, view_outcome(stats->last_outcome), comm);
}
