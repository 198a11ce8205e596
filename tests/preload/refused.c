/* SPDX-License-Identifier: BSD-2-Clause */
/* What refused a request is known from the refusal, whether or not there is room again by now. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "filter.h"
#include "oomreclaim.h"

static struct pool pool;

static void check_constraint(const char *expected)
{
	struct oomreclaim_stats stats;

	CHECK_EQ(oomreclaim_stats_get(&stats, sizeof stats), 0);
	CHECK(!strcmp(stats.last_constraint, expected));
}

static size_t room(void)
{
	struct oomreclaim_limit_stats stats;

	CHECK_EQ(oomreclaim_limit_stats(&stats, sizeof stats), 0);
	return stats.limit - stats.charged;
}

/* A request that would fit, but for what the heap adds to it: the limit seems to have room. */
static void *refuse(void *arg)
{
	CHECK(pool_fill(&pool, MIB) > 0);
	for (int i = 0; i < 10; i++)
		if (malloc(room()) == NULL) {
			check_constraint("BUDGET");
			return arg;
		}
	check_failed(__FILE__, __LINE__, "one is refused");
}

/* To know the constraint no file is opened: the number of its descriptor may be one that the
   program is about to use. */
static void opens_nothing(void)
{
	static char *allowed[] = {"brk",
	                          "clock_gettime",
	                          "exit",
	                          "exit_group",
	                          "futex",
	                          "getpid",
	                          "gettid",
	                          "madvise",
	                          "mmap",
	                          "mprotect",
	                          "prlimit64",
	                          "munmap",
	                          "rt_sigprocmask",
	                          "rt_sigpending",
	                          "sched_yield",
	                          "write",
	                          NULL};
	struct oomreclaim_stats stats;

	/* Somebody wants to know. */
	CHECK_EQ(oomreclaim_stats_get(&stats, sizeof stats), 0);
	filter_call(allowed, true, refuse);
}

/* The limit refused this thread before, and is gone. */
static void by_system(void)
{
	refuse(NULL);
	CHECK_EQ(oomreclaim_set_limit(SIZE_MAX), 0);
	exhaust(&pool);
	CHECK(malloc(8 * MIB) == NULL && errno == ENOMEM);
	check_constraint("RLIMIT_AS");
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"opens-nothing", opens_nothing},
		{"by-system", by_system},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
