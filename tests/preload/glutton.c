/* SPDX-License-Identifier: BSD-2-Clause */
/* limit-auto.sh's program: wants 512 MiB for its cache, and gives back what it is asked for. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "oomreclaim.h"

enum { BLOCKS = 2048 };

static struct pool pool;

static size_t evict(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	/* Of a pool that is being added to by the thread that fails, or in the background: the
	   oldest are never what is being worked on. */
	return control->is_direct ? pool_evict(&pool, control->bytes_wanted) : 0;
}

int main(void)
{
	if (oomreclaim_available())
		CHECK(oomreclaim_register("pool", 0, 0, evict, NULL, NULL) == 0);
	for (int i = 0; i < BLOCKS; i++) {
		CHECK(pool_add(&pool, 256 * KIB));
		/* Behind the link to the next. */
		memset((char *)pool.newest + 64, 1, 256 * KIB - 64);
	}
	return 0;
}
