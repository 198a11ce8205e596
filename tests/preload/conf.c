/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Settings that are compiled in: malloc_conf of jemalloc, and oomreclaim_conf. Linked so that the
 * executable exports them. Argument: the policy that has to be in force.
 */
#include <string.h>

#include "check.h"
#include "je.h"
#include "oomreclaim.h"

extern __attribute__((visibility("default"))) const char *malloc_conf, *oomreclaim_conf;
const char *malloc_conf = "narenas:5,tcache_gc_incr_bytes:131072";
const char *oomreclaim_conf = "policy:kill,reserve:2M";

int main(int argc, char **argv)
{
	enum oomreclaim_policy policy = OOMRECLAIM_POLICY_RETURN;
	size_t cache_check_bytes;
	unsigned arenas;

	JE_READ("opt.narenas", &arenas);
	CHECK(arenas == 5);
	JE_READ("opt.tcache_gc_incr_bytes", &cache_check_bytes);
	CHECK(cache_check_bytes == 131072);
	CHECK(argc == 2);
	if (!strcmp(argv[1], "kill"))
		policy = OOMRECLAIM_POLICY_KILL;
	else if (!strcmp(argv[1], "abort"))
		policy = OOMRECLAIM_POLICY_ABORT;
	CHECK(oomreclaim_get_policy() == policy);
	return 0;
}
