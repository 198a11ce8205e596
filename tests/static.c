/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linked with liboomreclaim.a: its malloc is the program's, settings compiled into the program
 * hold, and a callback makes room.
 */
#include <errno.h>
#include <oomreclaim.h>
#include <oomreclaim_group.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { LIMIT_MIB = 200, CACHED = 100 };
#define MIB ((size_t)1 << 20)

int mallctl(const char *name, void *old, size_t *old_length, void *new, size_t new_length);

const char *oomreclaim_conf = "policy:abort,costly:off";

static void *cache[CACHED];
/* volatile: glibc's header declares that malloc() calls nothing in this file (attribute leaf). */
static volatile unsigned evicted;

static size_t evict(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	if (evicted == CACHED)
		return 0;
	free(cache[evicted++]);
	return MIB;
}

/* pthread_create() is libc's: a thread can't begin in a group. */
static int refuses_inherit(void)
{
	oomreclaim_group group;

	return oomreclaim_group_create("group", OOMRECLAIM_GROUP_ROOT, &group) == 0 &&
	       oomreclaim_group_set(group, OOMRECLAIM_GROUP_INHERIT, 1) == ENOTSUP &&
	       oomreclaim_group_set(group, OOMRECLAIM_GROUP_INHERIT, 0) == 0 &&
	       oomreclaim_group_destroy(group, 0) == 0;
}

int main(void)
{
	const struct rlimit limit = {LIMIT_MIB * MIB, LIMIT_MIB * MIB};
	const char *version;
	size_t length = sizeof version, taken = 0;

	if (mallctl("version", &version, &length, NULL, 0) != 0 || !oomreclaim_available())
		return 1;
	if (oomreclaim_get_policy() != OOMRECLAIM_POLICY_ABORT)
		return 2;
	if (!refuses_inherit())
		return 6;
	if (oomreclaim_register("cache", 0, 0, evict, NULL, NULL) != 0 ||
	    setrlimit(RLIMIT_AS, &limit) != 0)
		return 3;
	for (unsigned i = 0; i < CACHED; i++)
		if (!(cache[i] = malloc(MIB)))
			return 4;
	/* Without the callback, the policy would end it. */
	while (evicted < CACHED / 2) {
		char *block = malloc(MIB);

		if (!block)
			return 5;
		memset(block, 1, MIB);
		taken++;
	}
	printf("jemalloc %s: %zu MiB more, %u MiB evicted\n", version, taken, evicted);
	return 0;
}
