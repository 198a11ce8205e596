/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * misuse KIND SIZE [other]: what a program may not do to a block of that size; with `other`, the
 * second half of it in another thread. What it writes to comes back, or is freed, before the
 * program ends.
 */
#include <err.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../preload/check.h"
#include "oomreclaim.h"

__attribute__((weak)) void sdallocx(void *memory, size_t size, int flags);

static size_t size;
/* Volatile: the compiler must not know better. */
static char *volatile block;
static char in_file[64];

/* Until the block's address is given out again: it was looked at then. */
static void use_again(void)
{
	for (int i = 0; i < 10000000; i++) {
		char *other = malloc(size);

		if (other == block)
			return;
		free(other);
	}
}

static void *twice(void *unused)
{
	free(block);
	return unused;
}

/* After as much else was freed as is ever kept back. */
static void *twice_late(void *unused)
{
	for (int i = 0; i < 100000; i++)
		free(malloc(1000));
	free(block);
	return unused;
}

static void *inside(void *unused)
{
	free(block + size / 2);
	return unused;
}

static void *of_stack(void *unused)
{
	char *volatile on_stack = (char *)&unused;

	free(on_stack);
	return unused;
}

static void *of_file(void *unused)
{
	char *volatile at = in_file + 16;

	free(at);
	return unused;
}

static void *of_nobody(void *unused)
{
	char *volatile at = (char *)0x123450;

	free(at);
	return unused;
}

static void *late_write(void *unused)
{
	block[size / 2] = 1;
	use_again();
	return unused;
}

static void *late_write_exit(void *unused)
{
	block[size - 1] = 0;
	return unused;
}

static void *overflow(void *unused)
{
	block[size] = 0;
	free(block);
	return unused;
}

static void *overflow_far(void *unused)
{
	memset(block, 'x', size + 4000);
	free(block);
	return unused;
}

static void *overflow_resize(void *unused)
{
	block[size] = 0;
	block = realloc(block, 2 * size);
	return unused;
}

static void *resize_freed(void *unused)
{
	block = realloc(block, 2 * size);
	return unused;
}

static void *wrong_size(void *unused)
{
	sdallocx(block, size + 16, 0);
	return unused;
}

/* Each size and alignment, in all ways that are right. */
static void *nothing(void *unused)
{
	for (size_t bytes = 0; bytes < 5000; bytes += 1 + bytes / 16) {
		char *a = malloc(bytes), *b = calloc(1, bytes), *c = aligned_alloc(256, bytes);

		CHECK((bytes < 16 || (uintptr_t)a % 16 == 0) && (uintptr_t)c % 256 == 0);
		memset(a, 1, bytes);
		for (size_t i = 0; i < bytes; i++)
			CHECK(b[i] == 0);
		a = realloc(a, bytes + 100);
		CHECK(bytes == 0 || (a[0] == 1 && a[bytes - 1] == 1));
		memset(a, 2, bytes + 100);
		a = realloc(a, bytes / 2 + 1);
		free(a);
		if (bytes > 0)
			sdallocx(b, bytes, 0);
		else
			free(b);
		free(c);
	}
	return unused;
}

/* ---- Purgeable blocks ---- */

static struct oomreclaim_purgeable *volatile purgeable;

static void free_purgeable(void)
{
	purgeable = oomreclaim_purgeable_alloc(size, 1);
	oomreclaim_purgeable_free(purgeable);
}

static void *pin_freed(void *unused)
{
	free_purgeable();
	oomreclaim_purgeable_pin(purgeable);
	return unused;
}

static void *unpin_freed(void *unused)
{
	free_purgeable();
	oomreclaim_purgeable_unpin(purgeable);
	return unused;
}

static void *free_freed(void *unused)
{
	free_purgeable();
	oomreclaim_purgeable_free(purgeable);
	return unused;
}

static void *pin_none(void *unused)
{
	oomreclaim_purgeable_pin((struct oomreclaim_purgeable *)0x123450);
	return unused;
}

/* It is taken in between, though nobody sees that. */
static void *write_unpinned(void *unused)
{
	purgeable = oomreclaim_purgeable_alloc(size, 1);
	free(block);
	block = oomreclaim_purgeable_block(purgeable);
	oomreclaim_purgeable_unpin(purgeable);
	oomreclaim_reclaim(size);
	block[size / 2] = 1;
	use_again();
	return unused;
}

/* And the block is freed once more. */
static void *free_with_block(void *unused)
{
	purgeable = oomreclaim_purgeable_alloc(size, 1);
	free(oomreclaim_purgeable_block(purgeable));
	oomreclaim_purgeable_free(purgeable);
	return unused;
}

static const struct {
	const char *name;
	void *(*second)(void *);
	bool is_freed_first;
} kinds[] = {
	{"twice", twice, true},
	{"twice-late", twice_late, true},
	{"inside", inside, false},
	{"stack", of_stack, false},
	{"file", of_file, false},
	{"nobody", of_nobody, false},
	{"late-write", late_write, true},
	{"late-write-exit", late_write_exit, true},
	{"overflow", overflow, false},
	{"overflow-far", overflow_far, false},
	{"overflow-resize", overflow_resize, false},
	{"resize-freed", resize_freed, true},
	{"wrong-size", wrong_size, false},
	{"nothing", nothing, false},
	{"pin-freed", pin_freed, false},
	{"unpin-freed", unpin_freed, false},
	{"free-freed", free_freed, false},
	{"pin-none", pin_none, false},
	{"write-unpinned", write_unpinned, false},
	{"free-with-block", free_with_block, false},
};

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc < 3)
		return 2;
	size = strtoul(argv[2], NULL, 10);
	for (size_t i = 0; i < COUNT(kinds); i++) {
		if (strcmp(argv[1], kinds[i].name) != 0)
			continue;
		block = malloc(size);
		if (kinds[i].is_freed_first)
			free(block);
		if (argc == 3)
			kinds[i].second(NULL);
		else if (pthread_create(&thread, NULL, kinds[i].second, NULL) == 0)
			pthread_join(thread, NULL);
		return 0;
	}
	return 2;
}
