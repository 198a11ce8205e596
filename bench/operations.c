/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COUNT times one operation of malloc's family, and nothing else.
 *
 *     operations [--time] NAME COUNT
 *     operations --list
 *
 * Under callgrind the difference between two COUNTs is what the operations between them cost, the
 * loop included. --time prints the nanoseconds of one.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* jemalloc's own, in its libraries and in ours; absent elsewhere. */
void *mallocx(size_t size, int flags) __attribute__((weak));
void sdallocx(void *block, size_t size, int flags) __attribute__((weak));
/* C++'s, by their mangled names: operator new(size_t), operator delete(void *, size_t). */
void *operator_new(size_t size) __asm__("_Znwm") __attribute__((weak));
void operator_delete(void *block, size_t size) __asm__("_ZdlPvm") __attribute__((weak));

/* The compiler must not know what becomes of the block. */
static inline void *escape(void *block)
{
	__asm__ volatile("" : "+r"(block) : : "memory");
	if (!block)
		exit(1);
	return block;
}

static inline void pairs(unsigned long count, size_t size)
{
	for (unsigned long i = 0; i < count; i++)
		free(escape(malloc(size)));
}

static void pair16(unsigned long count)
{
	pairs(count, 16);
}

static void pair64(unsigned long count)
{
	pairs(count, 64);
}

static void pair256(unsigned long count)
{
	pairs(count, 256);
}

static void pair1024(unsigned long count)
{
	pairs(count, 1024);
}

static void pair4096(unsigned long count)
{
	pairs(count, 4096);
}

static void calloc64(unsigned long count)
{
	for (unsigned long i = 0; i < count; i++)
		free(escape(calloc(4, 16)));
}

/* One operation is 16, 32, ... 4096 bytes: nine calls of realloc, and free. */
static void realloc_growth(unsigned long count)
{
	for (unsigned long i = 0; i < count; i++) {
		void *block = NULL;

		for (size_t size = 16; size <= 4096; size *= 2)
			block = escape(realloc(block, size));
		free(block);
	}
}

static void aligned_alloc64(unsigned long count)
{
	for (unsigned long i = 0; i < count; i++)
		free(escape(aligned_alloc(64, 256)));
}

static void new_delete64(unsigned long count)
{
	for (unsigned long i = 0; i < count; i++)
		operator_delete(escape(operator_new(64)), 64);
}

static void mallocx64(unsigned long count)
{
	for (unsigned long i = 0; i < count; i++)
		sdallocx(escape(mallocx(64, 0)), 64, 0);
}

static const struct operation {
	const char *name;
	void (*run)(unsigned long count);
} operations[] = {
	{"malloc-16", pair16},
	{"malloc-64", pair64},
	{"malloc-256", pair256},
	{"malloc-1024", pair1024},
	{"malloc-4096", pair4096},
	{"calloc-64", calloc64},
	{"realloc-16-to-4096", realloc_growth},
	{"aligned_alloc-64-256", aligned_alloc64},
	{"new-delete-64", new_delete64},
	{"mallocx-sdallocx-64", mallocx64},
};
enum { OPERATIONS = sizeof(operations) / sizeof(*operations) };

static const struct operation *find(const char *name)
{
	for (size_t i = 0; i < OPERATIONS; i++)
		if (!strcmp(operations[i].name, name))
			return &operations[i];
	return NULL;
}

static int has(const struct operation *operation)
{
	if (operation->run == new_delete64)
		return operator_new && operator_delete;
	if (operation->run == mallocx64)
		return mallocx && sdallocx;
	return 1;
}

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int usage(void)
{
	fprintf(stderr, "usage: operations [--time] NAME COUNT\n       operations --list\n");
	return 2;
}

int main(int argc, char **argv)
{
	int is_timed = argc == 4 && !strcmp(argv[1], "--time");
	const struct operation *operation;
	unsigned long count;
	double start_ns;
	char *end;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (size_t i = 0; i < OPERATIONS; i++)
			puts(operations[i].name);
		return 0;
	}
	if (argc != 3 + is_timed)
		return usage();
	operation = find(argv[1 + is_timed]);
	count = strtoul(argv[2 + is_timed], &end, 10);
	if (!operation || !count || *end)
		return usage();
	if (!has(operation)) {
		fprintf(stderr, "operations: this allocator has no %s\n", operation->name);
		return 77;
	}
	start_ns = now_ns();
	operation->run(count);
	if (is_timed)
		printf("%.3f\n", (now_ns() - start_ns) / (double)count);
	return 0;
}
