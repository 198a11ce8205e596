/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COUNT times malloc(SIZE) and free: the fast path and nothing else.
 *
 *     pairs [--time] COUNT [SIZE]
 *
 * Under callgrind the difference between two COUNTs is the cost of the pairs
 * between them, with start-up and exit cancelled out. --time prints the
 * nanoseconds of one pair.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int run(unsigned long count, size_t size)
{
	for (unsigned long i = 0; i < count; i++) {
		void *block = malloc(size);

		/* A pointer that escapes: the compiler may not drop the pair. */
		__asm__ volatile("" : "+r"(block) : : "memory");
		if (!block)
			return -ENOMEM;
		free(block);
	}
	return 0;
}

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int parse(const char *text, unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	return errno || end == text || *end || *text == '-' ? -EINVAL : 0;
}

int main(int argc, char **argv)
{
	int first = argc > 1 && !strcmp(argv[1], "--time") ? 2 : 1;
	unsigned long count, size = 64;
	double start_ns;

	if (argc < first + 1 || argc > first + 2 || parse(argv[first], &count) ||
	    (argc == first + 2 && parse(argv[first + 1], &size))) {
		fprintf(stderr, "usage: pairs [--time] COUNT [SIZE]\n");
		return 2;
	}
	start_ns = now_ns();
	if (run(count, size)) {
		fprintf(stderr, "pairs: out of memory\n");
		return 1;
	}
	if (first == 2)
		printf("%.3f\n", (now_ns() - start_ns) / (double)(count ? count : 1));
	return 0;
}
