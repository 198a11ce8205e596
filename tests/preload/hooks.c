/* SPDX-License-Identifier: BSD-2-Clause */
/* Extent hooks are application code that runs inside the heap, perhaps with its locks held: what
   fails there fails at once, and the ladder is descended outside. */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "je.h"
#include "oomreclaim.h"

static struct pool pool;
static bool is_inside, is_live;
static int hook_calls, callback_calls;

static void *allocate_and_fail(struct extent_hooks *hooks, void *new_addr, size_t size,
                               size_t alignment, bool *zero, bool *commit, unsigned arena)
{
	(void)hooks, (void)new_addr, (void)size, (void)alignment, (void)zero, (void)commit;
	(void)arena;
	is_inside = true;
	hook_calls++;
	errno = 0;
	CHECK(!malloc(32 * MIB));
	CHECK_EQ(errno, ENOMEM);
	CHECK(!calloc(4096, 8192));
	is_inside = false;
	return NULL;
}

static size_t give_nothing(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	CHECK(!is_inside);
	callback_calls += is_live;
	return 0;
}

int main(void)
{
	struct extent_hooks hooks = {.alloc = allocate_and_fail}, *to_set = &hooks;
	size_t length = sizeof(unsigned);
	unsigned arena;

	CHECK(oomreclaim_register("nothing", 0, 0, give_nothing, NULL, NULL) == 0);
	/* Its own records come by the default hooks: without memory, not even the arena. */
	CHECK(mallctl("experimental.arenas_create_ext", &arena, &length, &(struct {
			      struct extent_hooks *hooks;
			      bool is_metadata_included;
		      }){to_set, false},
	              2 * sizeof(void *)) == 0);
	exhaust(&pool);
	is_live = true;
	errno = 0;
	CHECK(!mallocx(MIB, MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE));
	CHECK_EQ(errno, ENOMEM);
	CHECK(hook_calls > 0 && callback_calls == 1);
	CHECK(!mallocx(100, MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE));
	/* No state is left behind: the ladder is descended as before. */
	callback_calls = 0;
	CHECK(!malloc(MIB));
	CHECK_EQ(callback_calls, 1);
	return 0;
}
