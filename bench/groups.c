/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What groups cost: COUNT times an operation, with so many groups.
 *
 *     groups [--time] OPERATION GROUPS COUNT
 *
 * Operations: pair (malloc(64) and free() inside a group), outside (the same in a thread that is in
 * none), foreign (malloc() inside, free() outside), enter (entering and leaving, one group after
 * the other), job (a group is made, entered, used for 100 blocks of 64 bytes, left and destroyed),
 * and memory: each group has 1000 blocks of 64 bytes, and the process's resident memory is printed,
 * in KiB. With 0 groups the same is done without entering any.
 *
 * Under callgrind the difference between two COUNTs is what the operations between them cost.
 * --time prints the nanoseconds of one, the least of several parts.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OOMRECLAIM_OPTIONAL
#include "oomreclaim_group.h"

#define GROUPS_MAX 4000
#define PARTS 20
#define BLOCKS_OF_JOB 100
#define BLOCKS_OF_MEMORY 1000

static oomreclaim_group groups[GROUPS_MAX];
static unsigned long groups_count;

/* The compiler must not know what becomes of the block. */
static inline void *escape(void *block)
{
	__asm__ volatile("" : "+r"(block) : : "memory");
	if (!block)
		exit(1);
	return block;
}

static void make(oomreclaim_group *group)
{
	if (oomreclaim_group_create("bench", OOMRECLAIM_GROUP_ROOT, group) != 0)
		exit(3);
}

static void enter(oomreclaim_group group)
{
	oomreclaim_group_enter(group);
	if (oomreclaim_group_current() != group)
		exit(4);
}

static void pair(unsigned long count)
{
	if (groups_count > 0)
		enter(groups[0]);
	for (unsigned long i = 0; i < count; i++)
		free(escape(malloc(64)));
	if (groups_count > 0)
		enter(OOMRECLAIM_GROUP_ROOT);
}

static void outside(unsigned long count)
{
	for (unsigned long i = 0; i < count; i++)
		free(escape(malloc(64)));
}

static void foreign(unsigned long count)
{
	static void *blocks[BLOCKS_OF_JOB];

	for (unsigned long i = 0; i < count; i += BLOCKS_OF_JOB) {
		if (groups_count > 0)
			oomreclaim_group_enter(groups[0]);
		for (int j = 0; j < BLOCKS_OF_JOB; j++)
			blocks[j] = escape(malloc(64));
		if (groups_count > 0)
			oomreclaim_group_enter(OOMRECLAIM_GROUP_ROOT);
		for (int j = 0; j < BLOCKS_OF_JOB; j++)
			free(blocks[j]);
	}
}

static void enter_and_leave(unsigned long count)
{
	unsigned long at = 0;

	for (unsigned long i = 0; groups_count > 0 && i < count; i++) {
		oomreclaim_group former = oomreclaim_group_enter(groups[at]);

		at = at + 1 < groups_count ? at + 1 : 0;
		oomreclaim_group_enter(former);
	}
}

static void job(unsigned long count)
{
	void *blocks[BLOCKS_OF_JOB];

	for (unsigned long i = 0; i < count; i++) {
		oomreclaim_group group = OOMRECLAIM_GROUP_ROOT;

		if (groups_count > 0) {
			make(&group);
			oomreclaim_group_enter(group);
		}
		for (int j = 0; j < BLOCKS_OF_JOB; j++)
			blocks[j] = escape(malloc(64));
		for (int j = 0; j < BLOCKS_OF_JOB; j++)
			free(blocks[j]);
		if (groups_count > 0) {
			oomreclaim_group_enter(OOMRECLAIM_GROUP_ROOT);
			oomreclaim_group_destroy(group, 0);
		}
	}
}

static void memory(unsigned long count)
{
	unsigned long users = groups_count > 0 ? groups_count : count, kib = 0;
	char line[128];
	FILE *status;

	for (unsigned long i = 0; i < users; i++) {
		if (groups_count > 0)
			enter(groups[i]);
		for (int j = 0; j < BLOCKS_OF_MEMORY; j++)
			memset(escape(malloc(64)), 1, 64);
	}
	oomreclaim_group_enter(OOMRECLAIM_GROUP_ROOT);
	status = fopen("/proc/self/status", "r");
	while (status && fgets(line, sizeof line, status) != NULL)
		if (sscanf(line, "VmRSS: %lu kB", &kib) == 1)
			break;
	printf("%lu\n", kib);
}

static const struct {
	const char *name;
	void (*run)(unsigned long count);
} operations[] = {{"pair", pair}, {"outside", outside},       {"foreign", foreign},
                  {"job", job},   {"enter", enter_and_leave}, {"memory", memory}};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Whatever else the machine does takes longer, never shorter. */
static double least_ns(void run(unsigned long count), unsigned long count)
{
	double least = 0;

	for (int i = 0; i < PARTS; i++) {
		uint64_t began = now_ns();
		double ns;

		run(count / PARTS);
		ns = (double)(now_ns() - began) / (double)(count / PARTS);
		if (i == 0 || ns < least)
			least = ns;
	}
	return least;
}

int main(int argc, char **argv)
{
	bool is_timed = argc > 1 && strcmp(argv[1], "--time") == 0;
	char **word = argv + 1 + is_timed;
	unsigned long count;

	if (argc - is_timed != 4 || (groups_count = strtoul(word[1], NULL, 10)) > GROUPS_MAX) {
		fprintf(stderr, "usage: groups [--time] OPERATION GROUPS COUNT\n");
		return 2;
	}
	count = strtoul(word[2], NULL, 10);
	for (unsigned long i = 0; i < groups_count; i++) {
		make(&groups[i]);
		/* What a group takes at its first use is not what is measured. */
		enter(groups[i]);
	}
	oomreclaim_group_enter(OOMRECLAIM_GROUP_ROOT);
	for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
		if (strcmp(operations[i].name, word[0]) != 0)
			continue;
		if (is_timed)
			printf("%.1f\n", least_ns(operations[i].run, count));
		else
			operations[i].run(count);
		return 0;
	}
	fprintf(stderr, "groups: %s: no such operation\n", word[0]);
	return 2;
}
