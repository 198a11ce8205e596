/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A malloc that fails again and again.
 *
 *     refusals cost COUNT MIB SIZE as|budget
 *     refusals maps ROUNDS
 *
 * cost: a heap of MIB in blocks of 16 KiB, of which nothing is free; then SIZE bytes fail COUNT
 * times in a row. Counted by callgrind, the difference of two COUNTs is the cost of the failures
 * between them. With `as` RLIMIT_AS is set so that SIZE can't be had, and what runs the program
 * can; with `budget` the setting limit is what refuses, and the heap is filled until it does.
 *
 * maps: half of the blocks are freed, every other one, and then a block that can't be had is asked
 * for: after each round the lines of /proc/self/maps, as a JSON array. The limit is what the
 * program is started with.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { BLOCK_BYTES = 16 << 10, HOLE_BYTES = 20000, HOLES_MAX = 40000 };

static int die(const char *what)
{
	fprintf(stderr, "refusals: %s\n", what);
	return 1;
}

static size_t address_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	size_t pages = 0;

	if (!file || fscanf(file, "%zu", &pages) != 1)
		exit(die("no /proc/self/statm"));
	fclose(file);
	return pages * 4096;
}

/* What is asked for stays below the limit, or it could never be had and nothing is tried for it. */
static void limit_addresses(size_t size)
{
	size_t bytes = address_bytes() + size / 2;
	struct rlimit limit = {bytes, bytes};

	if (bytes <= size || setrlimit(RLIMIT_AS, &limit))
		exit(die("can't set RLIMIT_AS"));
}

static void use_up(void)
{
	for (size_t bytes = 1 << 20; bytes >= 8; bytes /= 2)
		while (malloc(bytes))
			;
}

static int cost(unsigned long count, size_t mib, size_t size, bool is_budget)
{
	unsigned long refused = 0;

	for (size_t i = 0; i < mib << 20; i += BLOCK_BYTES) {
		char *block = malloc(BLOCK_BYTES);

		if (!block)
			return die("no memory for the heap");
		*block = 1;
	}
	if (is_budget)
		use_up();
	else
		limit_addresses(size);
	while (refused < count) {
		void *volatile block = malloc(size); /* volatile: not optimised away */

		if (block && ++count > 1000000)
			return die("it does not fail");
		refused++;
	}
	return 0;
}

static size_t count_maps(void)
{
	static char text[65536];
	FILE *maps = fopen("/proc/self/maps", "re");
	size_t lines = 0, got;

	if (!maps)
		exit(die("no /proc/self/maps"));
	setvbuf(maps, NULL, _IONBF, 0);
	while ((got = fread(text, 1, sizeof(text), maps)) > 0)
		for (size_t i = 0; i < got; i++)
			lines += text[i] == '\n';
	fclose(maps);
	return lines;
}

static int maps(unsigned long rounds)
{
	static char *blocks[HOLES_MAX]; /* static: not in the heap that is looked at */

	printf("[%zu", count_maps());
	for (unsigned long round = 0; round < rounds; round++) {
		for (size_t i = 0; i < HOLES_MAX; i++)
			if (!blocks[i] && (blocks[i] = malloc(HOLE_BYTES)))
				*blocks[i] = 1;
		for (size_t i = round % 2; i < HOLES_MAX; i += 2) {
			free(blocks[i]);
			blocks[i] = NULL;
		}
		/* All that is free would do, if it lay together. */
		free(malloc((size_t)HOLES_MAX / 2 * HOLE_BYTES));
		printf(", %zu", count_maps());
	}
	printf("]\n");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "cost"))
		return cost(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10),
		            strtoul(argv[4], NULL, 10), !strcmp(argv[5], "budget"));
	if (argc == 3 && !strcmp(argv[1], "maps"))
		return maps(strtoul(argv[2], NULL, 10));
	fprintf(stderr, "usage: refusals cost COUNT MIB SIZE as|budget | refusals maps ROUNDS\n");
	return 2;
}
