/* SPDX-License-Identifier: BSD-2-Clause */
/* After a peak an idle program's free memory goes back, where oomreclaimd is there to see to it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "oomreclaim.h"

enum { BLOCKS = 10000 };
#define BLOCK_BYTES ((size_t)17000)

static void *blocks[BLOCKS];

/* What a stream takes of the heap it gives back at once, to the cache of this thread. */
static size_t resident(void)
{
	FILE *file;
	size_t total = 0, pages = 0;
	char text[128];

	file = fopen("/proc/self/statm", "re");
	CHECK(file);
	setvbuf(file, text, _IOFBF, sizeof text);
	CHECK_EQ(fscanf(file, "%zu %zu", &total, &pages), 2);
	fclose(file);
	return pages * 4096;
}

static void rise_and_fall(void)
{
	for (size_t i = 0; i < BLOCKS; i++) {
		CHECK((blocks[i] = malloc(BLOCK_BYTES)));
		memset(blocks[i], 1, BLOCK_BYTES);
	}
	for (size_t i = 0; i < BLOCKS; i++)
		if (i % 50 != 0)
			free(blocks[i]);
}

/* Run with high:64M,low:32M. The launcher ends a program that waits for ever. */
static void given_back(void)
{
	size_t before = resident();

	rise_and_fall();
	CHECK(resident() > before + 100 * MIB);
	while (resident() > before + 24 * MIB)
		nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
}

/* With low:1G as well: nobody asked for it. */
static void below_the_mark(void)
{
	rise_and_fall();
	size_t before = resident();

	nanosleep(&(struct timespec){.tv_sec = 4}, NULL);
	CHECK(resident() > before - 16 * MIB);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {{"given-back", given_back},
	                                          {"below-the-mark", below_the_mark}};

	return check_main(argc, argv, cases, COUNT(cases));
}
