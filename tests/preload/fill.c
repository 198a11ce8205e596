/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * containers.py's program: takes blocks of a MiB, and touches none, until there are no more, or 8
 * GiB; says how many. With the argument "wait" it waits then to be ended.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oomreclaim.h"

enum { BLOCKS_MAX = 8192, BLOCK_BYTES = 1 << 20 };

int main(int argc, char **argv)
{
	static void *blocks[BLOCKS_MAX];
	int count = 0;

	while (count < BLOCKS_MAX && (blocks[count] = malloc(BLOCK_BYTES)) != NULL)
		count++;
	for (int i = 0; i < count; i++)
		free(blocks[i]);
	printf("%d MiB, %s oomreclaim\n", count, oomreclaim_available() ? "on" : "without");
	while (argc > 1 && strcmp(argv[1], "wait") == 0)
		pause();
	return 0;
}
