/* SPDX-License-Identifier: BSD-2-Clause */
/* One binary, with the library and without. Argument: which of the two it has to find. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "oomreclaim.h"

static size_t give(const struct oomreclaim_control *control, void *arg)
{
	return pool_evict(arg, control->bytes_wanted);
}

int main(int argc, char **argv)
{
	struct pool pool = {0};
	size_t most;

	CHECK(argc == 2);
	CHECK(oomreclaim_available() == !strcmp(argv[1], "with"));
	most = pool_fill(&pool, 256 * KIB);
	CHECK(most > 10 && most < 1000);
	if (oomreclaim_available()) {
		CHECK(!strcmp(oomreclaim_version(), "0.1.0"));
		/* Room for the record: the limit has just been met. */
		pool_evict(&pool, 256 * KIB);
		CHECK(oomreclaim_register("give", 0, 0, give, &pool, NULL) == 0);
	}
	for (size_t i = 0; i < most; i++)
		CHECK(pool_add(&pool, 256 * KIB) == oomreclaim_available());
	return 0;
}
