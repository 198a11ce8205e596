/* SPDX-License-Identifier: BSD-2-Clause */
/* glibc's extras answer for the heap that is in use. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "oomreclaim.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* mallinfo() */

static void trim(void)
{
	struct pool pool = {0};

	/* What was dirty before main() is not in question. */
	malloc_trim(0);
	for (int i = 0; i < 1000; i++)
		CHECK(pool_add(&pool, 64 * KIB));
	pool_clear(&pool);
	errno = ERRNO_UNTOUCHED;
	CHECK(malloc_trim(0) == 1);
	CHECK(malloc_trim(0) == 0);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
}

static void info(void)
{
	const size_t bytes = 64 * MIB;
	struct mallinfo2 before = mallinfo2(), after;
	struct mallinfo small = mallinfo();
	void *block = malloc(bytes);

	CHECK(block);
	after = mallinfo2();
	CHECK(before.uordblks > 0 && before.arena >= before.uordblks);
	CHECK(after.uordblks >= before.uordblks + bytes);
	CHECK(after.arena >= before.arena + bytes);
	CHECK((size_t)mallinfo().uordblks >= (size_t)small.uordblks + bytes);
	CHECK(after.hblks > before.hblks && after.hblkhd >= before.hblkhd + bytes);
	CHECK(mallinfo().hblks > small.hblks);
	CHECK((size_t)mallinfo().hblkhd >= (size_t)small.hblkhd + bytes);
	free(block);
	CHECK(mallinfo2().uordblks < after.uordblks);
	CHECK(mallinfo2().hblkhd < after.hblkhd && mallinfo2().hblks < after.hblks);
}

/* Each other one of many is free, in slabs; and so is a large one. */
static void free_blocks(void)
{
	enum { BLOCKS = 20000, BYTES = 1000 };
	static void *blocks[BLOCKS];
	struct mallinfo2 before = mallinfo2(), after;

	for (size_t i = 0; i < BLOCKS; i++)
		CHECK((blocks[i] = malloc(BYTES)));
	CHECK(mallinfo2().ordblks < before.ordblks + BLOCKS / 4);
	for (size_t i = 0; i < BLOCKS; i += 2)
		free(blocks[i]);
	after = mallinfo2();
	CHECK(after.ordblks >= before.ordblks + BLOCKS / 4);
	CHECK(after.ordblks <= before.ordblks + BLOCKS);
	CHECK((size_t)mallinfo().ordblks >= before.ordblks + BLOCKS / 4);
	CHECK(after.fordblks >= (after.ordblks - before.ordblks) * BYTES);
	for (size_t i = 1; i < BLOCKS; i += 2)
		free(blocks[i]);
}

static void xml(void)
{
	char *text = NULL;
	size_t length = 0;
	FILE *stream = open_memstream(&text, &length);

	CHECK(stream && malloc_info(0, stream) == 0);
	fclose(stream);
	CHECK(!strncmp(text, "<malloc version=\"oomreclaim\">\n", 30));
	CHECK(length > 40 && !strcmp(text + length - 10, "</malloc>\n"));
	free(text);
	errno = ERRNO_UNTOUCHED;
	CHECK_EQ(malloc_info(1, stdout), EINVAL);
	CHECK_EQ(malloc_info(-1, stdout), EINVAL);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
}

static void options(void)
{
	CHECK(mallopt(M_ARENA_MAX, 1) == 1);
	CHECK(mallopt(M_MMAP_THRESHOLD, 65536) == 1);
	CHECK(mallopt(M_TRIM_THRESHOLD, 65536) == 1);
	CHECK(mallopt(12345, 1) == 0);
}

/* To stderr, which the launcher looks at. */
static void stats(void)
{
	malloc_stats();
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"trim", trim},       {"info", info},   {"xml", xml}, {"free-blocks", free_blocks},
		{"options", options}, {"stats", stats},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
