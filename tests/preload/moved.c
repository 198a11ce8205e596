/* SPDX-License-Identifier: BSD-2-Clause */
/* Says "ready", waits for a line, and takes memory until there is none: how many MiB it got. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

int main(void)
{
	char line[8];
	void *block;
	int got = 0;

	/* The first block is there before the line is waited for. */
	CHECK(pool_add(&(struct pool){0}, MIB));
	puts("ready");
	fflush(stdout);
	CHECK(fgets(line, sizeof line, stdin));
	for (; got < 1024 && (block = malloc(MIB)); got++)
		memset(block, 1, MIB);
	printf("%d\n", got);
	return 0;
}
