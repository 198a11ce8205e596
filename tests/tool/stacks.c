/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fails far down: main(), middle(), a callback that qsort() calls, leaf(). Without frame pointers
 * these are known to whoever reads .eh_frame. Says "ready" and then waits to be ended; with an
 * argument it ends.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static __attribute__((noinline)) void *leaf(size_t bytes)
{
	void *block = malloc(bytes);

	/* Else the call is the last thing, and this function no frame. */
	__asm__ volatile("" : "+r"(block));
	return block;
}

static int compare(const void *a, const void *b)
{
	const int *one = a, *other = b;

	if (leaf((size_t)1 << 40) != NULL)
		exit(2);
	return *one - *other;
}

static __attribute__((noinline)) int middle(int first)
{
	int numbers[] = {first, 1};

	qsort(numbers, 2, sizeof numbers[0], compare);
	return numbers[0];
}

int main(int argc, char **argv)
{
	int least = middle(argc + 1);

	(void)argv;
	puts("ready");
	fflush(stdout);
	while (argc == 1)
		pause();
	return least - 1;
}
