/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program with groups to look at: tenants/large, which has met its max of 4 MiB, tenants/small,
 * and a group with a name that has to be quoted; as many more as the argument says. Says "ready"
 * and then waits to be ended.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oomreclaim_group.h"

static void *volatile kept;

static oomreclaim_group make(const char *name, oomreclaim_group parent)
{
	oomreclaim_group group;

	if (oomreclaim_group_create(name, parent, &group) != 0)
		exit(1);
	return group;
}

/* Leaves it at that. */
static void use(oomreclaim_group group, size_t bytes)
{
	oomreclaim_group_enter(group);
	kept = malloc(bytes);
	if (kept == NULL)
		exit(2);
	memset(kept, 1, bytes);
	oomreclaim_group_enter(OOMRECLAIM_GROUP_ROOT);
}

int main(int argc, char **argv)
{
	oomreclaim_group tenants, small, large;
	long more = argc > 1 ? strtol(argv[1], NULL, 10) : 0;

	while (more-- > 0)
		make("idle", OOMRECLAIM_GROUP_ROOT);
	tenants = make("tenants", OOMRECLAIM_GROUP_ROOT);
	small = make("small", tenants);
	large = make("large", tenants);
	use(make("a \"job\"", OOMRECLAIM_GROUP_ROOT), 100 << 10);
	use(small, 1 << 20);
	use(large, 3 << 20);
	if (oomreclaim_group_set(large, OOMRECLAIM_GROUP_MAX, 4 << 20) != 0)
		return 3;
	oomreclaim_group_enter(large);
	/* The page is brought up to date by what allocates, but not at once behind another time:
	   with the second failure it has the first. */
	for (int i = 0; i < 2; i++) {
		if (malloc(3 << 20) != NULL)
			return 4;
		usleep(50000);
	}
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
