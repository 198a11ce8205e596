/* SPDX-License-Identifier: BSD-2-Clause */
/* What is free in pieces that are too small for a request serves it all the same, before the
   callbacks are asked: by degrees, as docs/ladder.md has it. */
#include <stdlib.h>

#include "check.h"
#include "je.h"
#include "oomreclaim.h"

/* A page and a slab each; and a block whose slabs are of seven. */
#define PAGE_BLOCK ((size_t)4096)
#define ODD_BLOCK ((size_t)3584)

static struct pool pool;
static void *pages[8192];
static bool is_live;
static int calls;

static size_t release(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	if (!is_live)
		return 0;
	calls++;
	return space_release(MIB > control->bytes_wanted ? MIB : control->bytes_wanted);
}

/* Frees so many pages, none beside another, in a heap that has nothing else. */
static void leave_free(size_t count)
{
	for (size_t i = 0; i < COUNT(pages); i++)
		CHECK((pages[i] = mallocx(PAGE_BLOCK, MALLOCX_TCACHE_NONE)));
	CHECK(oomreclaim_register("release", 0, 0, release, NULL, NULL) == 0);
	exhaust(&pool);
	while (mallocx(ODD_BLOCK, MALLOCX_TCACHE_NONE))
		;
	for (size_t i = 0; i < COUNT(pages) && count > 0; i++)
		if (((uintptr_t)pages[i] / PAGE_BLOCK) % 2 == 0) {
			dallocx(pages[i], MALLOCX_TCACHE_NONE);
			count--;
		}
	CHECK_EQ(count, 0);
	is_live = true;
}

/* About as much as is needed is given back for it, and no callback is asked. */
static void few(void)
{
	leave_free(16);
	CHECK(mallocx(ODD_BLOCK, MALLOCX_TCACHE_NONE));
	CHECK_EQ(calls, 0);
}

static void many(void)
{
	leave_free(2048);
	for (int i = 0; i < 1000; i++)
		CHECK(mallocx(ODD_BLOCK, MALLOCX_TCACHE_NONE));
	CHECK_EQ(calls, 0);
}

static void large(void)
{
	leave_free(16);
	CHECK(mallocx(32 * KIB, MALLOCX_TCACHE_NONE));
	CHECK_EQ(calls, 0);
}

static void aligned(void)
{
	leave_free(16);
	CHECK(mallocx(PAGE_BLOCK, MALLOCX_LG_ALIGN(13) | MALLOCX_TCACHE_NONE));
	CHECK_EQ(calls, 0);
}

/* What an arena made by hand has free is given back as well. */
static void by_hand(void)
{
	unsigned arena;
	void *block;

	JE_READ("arenas.create", &arena);
	block = mallocx(4 * MIB, MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE);
	CHECK(block);
	leave_free(16);
	dallocx(block, MALLOCX_TCACHE_NONE);
	for (int i = 0; i < 100; i++)
		CHECK(mallocx(ODD_BLOCK, MALLOCX_TCACHE_NONE));
	CHECK_EQ(calls, 0);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {{"few", few},
	                                          {"many", many},
	                                          {"large", large},
	                                          {"aligned", aligned},
	                                          {"by-hand", by_hand}};

	return check_main(argc, argv, cases, COUNT(cases));
}
