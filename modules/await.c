/* SPDX-License-Identifier: BSD-2-Clause */
#include "await.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_WAIT_MS 500
#define MAX_WAIT_MS 60000
#define POLL_MS 5

/* One a module: each has a copy of this file. */
static struct {
	size_t (*count)(void); /* NULL: a callback */
	bool (*tell)(const char *what, size_t bytes);
	char *what;
	unsigned long wait_ms;
} own;

static uint64_t allocated_bytes(void)
{
	struct oomreclaim_stats stats;

	return oomreclaim_stats_get(&stats, sizeof stats) == 0 ? stats.heap_allocated : 0;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static size_t reclaim(const struct oomreclaim_control *control, void *arg)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000L * 1000L};
	uint64_t before = allocated_bytes(), freed = 0, end;

	(void)arg;
	if (!own.tell(own.what, control->bytes_wanted))
		return 0;
	/* By the clock: on a machine that is busy a pause is much longer. */
	end = now_ms() + own.wait_ms;
	while (freed < control->bytes_wanted && now_ms() < end) {
		uint64_t now;

		nanosleep(&pause, NULL);
		now = allocated_bytes();
		freed = before > now ? before - now : 0;
	}
	return (size_t)freed;
}

const char *await_what(const char *argument)
{
	size_t digits = strspn(argument, "0123456789");

	if (digits > 0 && argument[digits] == ':')
		return argument + digits + 1;
	return argument[digits] == '\0' ? argument + digits : argument;
}

static size_t count(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	return own.count();
}

static int enlist(const char *name)
{
	const struct oomreclaim_shrinker shrinker = {.name = name,
	                                             .priority = OOMRECLAIM_PRIORITY_DEFAULT,
	                                             .flags = OOMRECLAIM_CALLBACK_BACKGROUND,
	                                             .count = count,
	                                             .scan = reclaim,
	                                             .cost = OOMRECLAIM_COST_DEFAULT};

	if (own.count != NULL)
		return oomreclaim_shrinker_register(&shrinker, sizeof shrinker, NULL);
	return oomreclaim_register(name, OOMRECLAIM_PRIORITY_DEFAULT,
	                           OOMRECLAIM_CALLBACK_BACKGROUND, reclaim, NULL, NULL);
}

int await_register(const char *name, const char *argument, size_t (*count_free)(void),
                   bool (*tell)(const char *what, size_t bytes))
{
	int error;

	/* Loaded already, by the setting or by a program itself. */
	if (own.tell != NULL)
		return EBUSY;
	own.count = count_free;
	own.tell = tell;
	own.wait_ms = DEFAULT_WAIT_MS;
	if (await_what(argument) != argument)
		own.wait_ms = strtoul(argument, NULL, 10);
	if (own.wait_ms > MAX_WAIT_MS)
		return EINVAL;
	own.what = strdup(await_what(argument));
	if (own.what == NULL)
		return ENOMEM;
	error = enlist(name);
	if (error != 0)
		free(own.what);
	return error;
}
