/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Callbacks of the process that are called on a thread in a group: what they allocate is the
 * process's, and stays when the group ends with all that is in it.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "oomreclaim.h"
#include "oomreclaim_group.h"

#define ROOT OOMRECLAIM_GROUP_ROOT

static struct pool pool;
static oomreclaim_group group;
static char *index_of_cache;
static unsigned calls;

/* A cache that gives back, and makes its index anew. */
static void make_index(void)
{
	calls++;
	CHECK(oomreclaim_group_current() == ROOT);
	if (index_of_cache != NULL)
		return;
	index_of_cache = malloc(1000);
	CHECK(index_of_cache != NULL && oomreclaim_group_of(index_of_cache) == ROOT);
	memset(index_of_cache, 'i', 1000);
}

static size_t shrink(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	make_index();
	pool_clear(&pool);
	return 4 * MIB;
}

static enum oomreclaim_policy decide(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)arg;
	CHECK(verdict->group != NULL && !strcmp(verdict->group, "tenant"));
	make_index();
	return OOMRECLAIM_POLICY_RETURN;
}

/* Each tenant is ended as a whole; the index is there behind it. */
static void end_tenant(void)
{
	CHECK(oomreclaim_group_current() == group);
	CHECK(oomreclaim_group_enter(ROOT) == group);
	CHECK_EQ(oomreclaim_group_destroy(group, OOMRECLAIM_GROUP_FREE), 0);
	for (size_t i = 0; i < 100; i++)
		memset(malloc(1000), 'n', 1000);
	CHECK(calls > 0);
	for (size_t i = 0; i < 1000; i++)
		CHECK(index_of_cache[i] == 'i');
	CHECK(oomreclaim_group_of(index_of_cache) == ROOT);
}

static void begin_tenant(void)
{
	CHECK_EQ(oomreclaim_group_create("tenant", ROOT, &group), 0);
	oomreclaim_group_enter(group);
}

/* The limit is the process's. */
static void callback(void)
{
	pool_fill(&pool, 64 * KIB);
	CHECK_EQ(oomreclaim_register("cache", 0, 0, shrink, NULL, NULL), 0);
	begin_tenant();
	for (size_t i = 0; calls == 0 && i < 1000; i++)
		CHECK(malloc(64 * KIB) != NULL);
	end_tenant();
}

/* The group's own callback, which belongs to a module that outlives the group. */
static void high(void)
{
	begin_tenant();
	CHECK_EQ(oomreclaim_register("own", 0, 0, shrink, NULL, NULL), 0);
	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_HIGH, 4 * MIB), 0);
	for (size_t i = 0; calls == 0 && i < 1000; i++)
		CHECK(malloc(64 * KIB) != NULL);
	end_tenant();
}

static void policy(void)
{
	CHECK_EQ(oomreclaim_set_policy_callback(decide, NULL), 0);
	begin_tenant();
	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_MAX, 4 * MIB), 0);
	while (malloc(16 * KIB) != NULL)
		;
	end_tenant();
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"callback", callback},
		{"high", high},
		{"policy", policy},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
