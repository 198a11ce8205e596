/* SPDX-License-Identifier: BSD-2-Clause */
/* stats.h's counters as text, for malloc_stats_print(). */
#include "report/stats.h"

#include "base/base.h"
#include "reclaim/registry.h"
#include "report/groups_put.h"

const char *stats_outcome_name(uint32_t outcome)
{
	static const char *const names[] = {"none",  "served", "NULL",
	                                    "abort", "kill",   "kill other"};

	return outcome < ARRAY_SIZE(names) ? names[outcome] : "?";
}

#define ROW(member)                                                \
	{                                                          \
#member, offsetof(struct oomreclaim_stats, member) \
	}

static const struct {
	const char *name;
	size_t offset; /* of a uint64_t */
} rows[] = {
	ROW(limit),
	ROW(charged),
	ROW(charged_peak),
	ROW(limit_times_met),
	ROW(high),
	ROW(low),
	ROW(reserve),
	ROW(failures),
	ROW(served),
	ROW(refused),
	ROW(impossible),
	ROW(own_reclaims),
	ROW(flushes),
	ROW(compactions),
	ROW(borrows),
	ROW(evictions),
	ROW(full_evictions),
	ROW(reserve_uses),
	ROW(rounds),
	ROW(timeouts),
	ROW(policies),
	ROW(kills),
	ROW(waits),
	ROW(direct_rounds),
	ROW(direct_bytes_claimed),
	ROW(direct_bytes_measured),
	ROW(background_rounds),
	ROW(background_bytes_claimed),
	ROW(background_bytes_measured),
	ROW(purgeable),
	ROW(purged),
	ROW(headroom),
	ROW(level),
	ROW(last_time_ns),
	ROW(last_size),
};

static uint64_t value_of(const struct oomreclaim_stats *stats, size_t row)
{
	return *(const uint64_t *)(const void *)((const char *)stats + rows[row].offset);
}

/* Nothing in it may end a JSON string. */
void stats_put_name(struct io_buf *buf, const char *name, bool is_json)
{
	for (; *name != '\0'; name++) {
		const char character[] = {*name, '\0'};

		if (is_json && (*name == '"' || *name == '\\'))
			io_puts_clean(buf, "\\");
		io_puts_clean(buf, character);
	}
}

/* What the section shows at most: it is put together on the stack. */
#define CALLBACKS_MAX 16

/* Of a shrinker alone; a target of one that has asked for it. */
static void put_shrinker(struct io_buf *buf, const struct oomreclaim_callback_stats *stats,
                         bool is_json)
{
	if (stats->counts > 0)
		io_printf(buf, is_json ? ", \"bytes_counted\": %llu" : ", counted %llu",
		          (unsigned long long)stats->bytes_counted);
	if (stats->bytes_target == 0)
		return;
	if (stats->bytes_target == SIZE_MAX)
		io_printf(buf, is_json ? ", \"bytes_target\": null" : ", target none");
	else
		io_printf(buf, is_json ? ", \"bytes_target\": %llu" : ", target %llu",
		          (unsigned long long)stats->bytes_target);
	io_printf(buf, is_json ? ", \"bytes_regretted\": %llu" : ", regretted %llu",
	          (unsigned long long)stats->bytes_regretted);
}

static OOM_NOINLINE void put_callbacks(struct io_buf *buf, bool is_json)
{
	struct registry_line lines[CALLBACKS_MAX];
	unsigned total, count = registry_lines(lines, CALLBACKS_MAX, &total);

	for (unsigned i = 0; i < count; i++) {
		const struct oomreclaim_callback_stats *stats = &lines[i].stats;

		if (is_json)
			io_printf(buf, "%s{\"name\": \"", i > 0 ? ", " : "");
		else
			io_printf(buf, "callback ");
		stats_put_name(buf, lines[i].name, is_json);
		io_printf(
			buf,
			is_json ? "\", \"priority\": %d, \"calls\": %llu, \"bytes_claimed\": %llu, "
				  "\"bytes_measured\": %llu, \"longest_ns\": %llu"
				: ": priority %d, calls %llu, claimed %llu, measured %llu, "
				  "longest_ns %llu",
			lines[i].priority, (unsigned long long)stats->calls,
			(unsigned long long)stats->bytes_claimed,
			(unsigned long long)stats->bytes_measured,
			(unsigned long long)stats->longest_ns);
		put_shrinker(buf, stats, is_json);
		io_printf(buf, is_json ? "}" : "\n");
	}
	if (!is_json && count < total)
		io_printf(buf, "... and %u more callbacks\n", total - count);
}

static void put_row(struct io_buf *buf, const char *name, uint64_t value, bool is_json)
{
	io_printf(buf, is_json ? "\"%s\": " : "%s: ", name);
	if (value == UINT64_MAX)
		io_printf(buf, is_json ? "null" : "none");
	else
		io_printf(buf, "%llu", (unsigned long long)value);
	io_printf(buf, is_json ? ", " : "\n");
}

OOM_NOINLINE void stats_put(struct io_buf *buf, bool is_json)
{
	struct oomreclaim_stats stats;

	stats_gather(&stats);
	io_printf(buf, is_json ? "\"oomreclaim\": {" : "___ Begin oomreclaim statistics ___\n");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		put_row(buf, rows[i].name, value_of(&stats, i), is_json);
	io_printf(buf,
	          is_json ? "\"last_outcome\": \"%s\", \"last_pid\": %d, "
	                    "\"last_constraint\": \"%s\", \"headroom_constraint\": \"%s\", "
	                    "\"callbacks\": ["
	                  : "last_outcome: %s\nlast_pid: %d\nlast_constraint: %s\n"
	                    "headroom_constraint: %s\n",
	          stats_outcome_name(stats.last_outcome), stats.last_pid, stats.last_constraint,
	          stats.headroom_constraint);
	put_callbacks(buf, is_json);
	if (is_json)
		io_printf(buf, "]");
}

OOM_NOINLINE void stats_put_end(struct io_buf *buf, bool is_json)
{
	groups_put_stats(buf, is_json);
	io_printf(buf, is_json ? "}" : "--- End oomreclaim statistics ---\n");
}
