/* SPDX-License-Identifier: BSD-2-Clause */
#include "background/polled.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "background/stall.h"
#include "base/base.h"
#include "base/fork_data.h"
#include "system/proc.h"
#include "system/proc_cgroup.h"

/* As long as nothing grows: the window of a trigger that an unprivileged process may ask for. */
#define LONGEST_MS 2000
#define SHORTEST_MS 100
/* What is felt is acted on once in a second at most. */
#define FELT_MS 1000

/* A group is under pressure above fifteen sixteenths of its limit, or above three quarters where it
   has met the limit since. Usage is counted without what the kernel would drop. */
#define NEAR_SHIFT 4
#define MET_SHIFT 2

/* What is polled. */
static struct {
	enum stats_pressure means;
	struct stall stall;
	struct proc_cgroup group;
	uint64_t times_met; /* by the group's limit */
	/* At the last look: microseconds of stall, or bytes of the group. */
	uint64_t before;
	uint64_t looked_ns;
	uint64_t window_ns; /* when it began */
	int wait_ms;
} polled;

/* Until what is missing has come, if it comes twice as fast as it did in that time. */
static int wait_for(uint64_t missing, uint64_t grown, uint64_t passed_ns)
{
	uint64_t ms;

	if (grown == 0 || __builtin_mul_overflow(missing, passed_ns / NSEC_PER_MSEC / 2, &ms) ||
	    ms / grown > LONGEST_MS)
		return LONGEST_MS;
	return ms / grown < SHORTEST_MS ? SHORTEST_MS : (int)(ms / grown);
}

static void begin(enum stats_pressure means, uint64_t before)
{
	polled.means = means;
	polled.before = before;
	polled.looked_ns = polled.window_ns = now_ns();
	polled.wait_ms = LONGEST_MS;
}

/* Notes a look, and returns how much has come since the one before. */
static uint64_t note(uint64_t now, uint64_t *passed_ns)
{
	uint64_t grown = now > polled.before ? now - polled.before : 0, time_ns = now_ns();

	*passed_ns = time_ns - polled.looked_ns;
	polled.looked_ns = time_ns;
	polled.before = now;
	return grown;
}

/* ---- PSI ---- */

bool polled_begin_stall(int fd, const char *trigger)
{
	stall_begin(&polled.stall, fd, trigger);
	if (polled.stall.is_known)
		begin(STATS_PRESSURE_STALL, polled.stall.before_us);
	return polled.stall.is_known;
}

/* The window ends now: the part of what came before the last look that is out of it is forgotten,
   as if it had come evenly. */
static void move_window(uint64_t last_us, uint64_t last_ns)
{
	struct stall *stall = &polled.stall;
	uint64_t window_ns = stall->window_us * NSEC_PER_USEC, out_ns, before_ns;

	if (polled.looked_ns - polled.window_ns <= window_ns)
		return;
	out_ns = polled.looked_ns - window_ns - polled.window_ns;
	before_ns = last_ns - polled.window_ns;
	if (out_ns >= before_ns)
		stall->before_us = last_us;
	else
		stall->before_us += (last_us - stall->before_us) * (out_ns / NSEC_PER_MSEC) /
		                    (before_ns / NSEC_PER_MSEC + 1);
	polled.window_ns += out_ns;
}

static enum pressure_news look_at_stall(int fd)
{
	uint64_t total_us, grown, passed_ns, last_us = polled.before, last_ns = polled.looked_ns;
	struct stall *stall = &polled.stall;

	if (!stall_read(stall, fd, &total_us))
		return PRESSURE_GONE;
	grown = note(total_us, &passed_ns);
	move_window(last_us, last_ns);
	if (total_us - stall->before_us < stall->least_us) {
		polled.wait_ms =
			wait_for(stall->least_us - (total_us - stall->before_us), grown, passed_ns);
		return PRESSURE_NONE;
	}
	stall->before_us = total_us;
	polled.window_ns = polled.looked_ns;
	polled.wait_ms = FELT_MS;
	return PRESSURE_FELT;
}

/* ---- A group ---- */

bool polled_find_group(struct io_buf *path)
{
	struct proc_cgroup *group = &polled.group;
	uint64_t limit;

	if (!proc_cgroup_self(group))
		return false;
	do {
		if (!proc_cgroup_limit(group, &limit) || limit == UINT64_MAX)
			continue;
		io_printf(path, "%s%s%s/%s", proc_root, group->mount, group->path,
		          group->is_v2 ? "memory.events" : "memory.failcnt");
		return true;
	} while (proc_cgroup_up(group));
	return false;
}

/* memory.failcnt is a number; memory.events has a line for each kind. */
static bool read_times(int fd, uint64_t *times)
{
	static const char *const kinds[] = {"high ", "max ", "oom "};
	char text[512];
	ssize_t got = pread(fd, text, sizeof text - 1, 0);
	const char *line = text;
	uint64_t sum = 0, count;

	if (got <= 0)
		return false;
	text[got] = '\0';
	if (!polled.group.is_v2)
		return proc_parse_number(&line, times);
	for (; line != NULL; line = strchr(line, '\n'), line = line != NULL ? line + 1 : NULL)
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
			const char *at = line + strlen(kinds[i]);

			if (strncmp(line, kinds[i], strlen(kinds[i])) == 0 &&
			    proc_parse_number(&at, &count))
				sum += count;
		}
	*times = sum;
	return true;
}

bool polled_begin_group(int fd)
{
	uint64_t usage;

	if (!read_times(fd, &polled.times_met) || !proc_cgroup_usage(&polled.group, &usage))
		return false;
	begin(polled.group.is_v2 ? STATS_PRESSURE_EVENTS : STATS_PRESSURE_USAGE, usage);
	return true;
}

static enum pressure_news look_at_group(int fd)
{
	uint64_t times, usage, limit, grown, passed_ns, near;
	bool has_met;

	if (!read_times(fd, &times) || !proc_cgroup_usage(&polled.group, &usage) ||
	    !proc_cgroup_limit(&polled.group, &limit))
		return PRESSURE_GONE;
	grown = note(usage, &passed_ns);
	has_met = times != polled.times_met;
	polled.times_met = times;
	near = limit - (limit >> NEAR_SHIFT);
	if (usage < near && !(has_met && usage >= limit - (limit >> MET_SHIFT))) {
		polled.wait_ms = wait_for(near - usage, grown, passed_ns);
		return PRESSURE_NONE;
	}
	polled.wait_ms = FELT_MS;
	return PRESSURE_FELT;
}

/* ---- Both ---- */

void polled_end(void)
{
	fork_reset(polled.means, STATS_PRESSURE_NONE);
}

enum stats_pressure polled_means(void)
{
	return polled.means;
}

short polled_events(void)
{
	return polled.means == STATS_PRESSURE_EVENTS ? POLLPRI : 0;
}

int polled_wait_ms(void)
{
	return polled.wait_ms;
}

enum pressure_news polled_look(int fd)
{
	return polled.means == STATS_PRESSURE_STALL ? look_at_stall(fd) : look_at_group(fd);
}
