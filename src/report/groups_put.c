/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/groups_put.h"

#include "base/base.h"
#include "config/policy_in_force.h"
#include "heap/heap_ops.h"
#include "report/stats.h"

unsigned groups_gather(unsigned in, struct group_line *lines, unsigned count, unsigned *total)
{
	unsigned used = group_lines(in, lines, count, total);

	for (unsigned i = 0; i < used; i++)
		lines[i].stats.allocated = heap_ops.group_allocated(lines[i].slot);
	return used;
}

static unsigned long long kib(uint64_t bytes)
{
	return bytes >> 10;
}

/* mem_cgroup_print_oom_meminfo(), which prints one cgroup; here the descendants are told apart. */
OOM_NOINLINE void groups_put_table(struct io_buf *buf, unsigned in, struct group_line *lines,
                                   unsigned count)
{
	unsigned total, used = groups_gather(in, lines, count, &total);

	if (used == 0)
		return;
	io_printf(buf, "  Memory group stats for ");
	group_put_path(buf, in);
	io_printf(buf, ":\n  [ charged_K      own_K allocated_K     peak_K      max_K  max_met "
	               "threads ] name\n");
	for (const struct group_line *line = lines; line < lines + used; line++) {
		const struct oomreclaim_group_stats *stats = &line->stats;

		io_printf(buf, "  [%10llu %10llu %11llu %10llu ", kib(stats->charged),
		          kib(stats->own), kib(stats->allocated), kib(stats->peak));
		if (line->max == SIZE_MAX)
			io_printf(buf, "      none ");
		else
			io_printf(buf, "%10llu ", kib(line->max));
		io_printf(buf, "%8llu %7llu ] ", (unsigned long long)stats->max_met,
		          (unsigned long long)stats->threads);
		for (unsigned i = 0; i < line->depth; i++)
			io_printf(buf, "  ");
		io_puts_clean(buf, line->name);
		io_printf(buf, line->is_cancelled ? " (cancelled)\n" : "\n");
	}
	if (used < total)
		io_printf(buf, "  ... and %u more groups\n", total - used);
}

/* What the section shows at most: it is put together on the stack. */
#define GROUPS_MAX 16

static void put_size(struct io_buf *buf, size_t bytes, bool is_json)
{
	if (bytes == SIZE_MAX)
		io_printf(buf, is_json ? "null" : "none");
	else
		io_printf(buf, "%zu", bytes);
}

static void put_group(struct io_buf *buf, const struct group_line *line, bool is_json)
{
	const struct oomreclaim_group_stats *stats = &line->stats;
	const struct {
		const char *name;
		uint64_t value;
	} counters[] = {
		{"charged", stats->charged}, {"own", stats->own},
		{"peak", stats->peak},       {"allocated", stats->allocated},
		{"max_met", stats->max_met}, {"reclaimed", stats->reclaimed},
		{"cancels", stats->cancels}, {"high_met", stats->high_met},
		{"threads", stats->threads}, {"children", stats->children},
	};

	if (is_json)
		io_printf(buf, "{\"group\": %llu, \"depth\": %u, \"name\": \"",
		          (unsigned long long)line->handle, line->depth);
	else
		io_printf(buf, "group %llu, depth %u, ", (unsigned long long)line->handle,
		          line->depth);
	stats_put_name(buf, line->name, is_json);
	io_printf(buf, is_json ? "\", \"policy\": \"%s\", \"max\": " : ": policy %s, max ",
	          policy_name(line->policy));
	put_size(buf, line->max, is_json);
	io_printf(buf, is_json ? ", \"high\": " : ", high ");
	put_size(buf, line->high, is_json);
	io_printf(buf, is_json ? ", \"low\": %zu, \"min\": %zu" : ", low %zu, min %zu", line->low,
	          line->min);
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		io_printf(buf, is_json ? ", \"%s\": %llu" : ", %s %llu", counters[i].name,
		          (unsigned long long)counters[i].value);
	io_printf(buf, is_json ? "}" : "\n");
}

OOM_NOINLINE void groups_put_stats(struct io_buf *buf, bool is_json)
{
	struct group_line lines[GROUPS_MAX];
	unsigned total, used = groups_gather(0, lines, GROUPS_MAX, &total);

	if (is_json)
		io_printf(buf, ", \"groups_total\": %u, \"groups\": [", total);
	for (unsigned i = 0; i < used; i++) {
		if (is_json && i > 0)
			io_printf(buf, ", ");
		put_group(buf, &lines[i], is_json);
	}
	if (is_json)
		io_printf(buf, "]");
	else if (used < total)
		io_printf(buf, "... and %u more groups\n", total - used);
}
