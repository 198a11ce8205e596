/* SPDX-License-Identifier: BSD-2-Clause */
#include "blocks.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A value that nothing sets errno to. */
#define ERRNO_UNTOUCHED 4711
#define GONE 0xdeaddeaddeaddeadULL

struct block {
	size_t bytes;
	uint64_t words[];
};

/* The blocks that nobody is at work with. Acquire and release: with the pointer comes the
   pattern. */
static _Atomic(struct block *) slots[SLOTS];
static atomic_long alive;

void stress_failed(const char *file, int line, const char *condition)
{
	dprintf(STDERR_FILENO, "%s:%d: pid %d: %s\n", file, line, getpid(), condition);
	abort();
}

uint64_t dice_roll(struct dice *dice, uint64_t below)
{
	/* A linear congruential generator by Knuth, its better half. */
	dice->state = dice->state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (dice->state >> 33) % below;
}

bool dice_once_in(struct dice *dice, uint64_t times)
{
	return dice_roll(dice, times) == 0;
}

size_t dice_size(struct dice *dice)
{
	unsigned bits = (unsigned)dice_roll(dice, 100);

	bits = bits < 60 ? 9 : bits < 90 ? 13 : bits < 98 ? 17 : 20;
	return sizeof(struct block) + dice_roll(dice, (1U << bits) - sizeof(struct block));
}

static uint64_t word_of(const void *address, size_t bytes, size_t index)
{
	return ((uintptr_t)address ^ bytes << 40) * 0x9e3779b97f4a7c15ULL + index;
}

static size_t words_of(size_t bytes)
{
	return (bytes - sizeof(struct block)) / sizeof(uint64_t);
}

static void fill(struct block *block, size_t bytes)
{
	unsigned char *end = (unsigned char *)block + bytes;
	size_t count = words_of(bytes);

	block->bytes = bytes;
	for (size_t i = 0; i < count; i++)
		block->words[i] = word_of(block, bytes, i);
	for (unsigned char *at = (unsigned char *)&block->words[count]; at < end; at++)
		*at = (unsigned char)((uintptr_t)at * 167);
}

/* The first `bytes` of a block of `was_bytes` that was filled at `address`. */
static void check(const struct block *block, const void *address, size_t was_bytes, size_t bytes)
{
	size_t count = words_of(bytes);

	MUST(block->bytes == was_bytes);
	for (size_t i = 0; i < count; i++)
		MUST(block->words[i] == word_of(address, was_bytes, i));
	if (bytes != was_bytes)
		return;
	for (size_t i = count * sizeof(uint64_t); i < bytes - sizeof *block; i++)
		MUST(((const unsigned char *)block->words)[i] ==
		     (unsigned char)(((uintptr_t)address + sizeof *block + i) * 167));
}

void block_check(const struct block *block)
{
	check(block, block, block->bytes, block->bytes);
}

static void check_zero(const unsigned char *memory, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		MUST(memory[i] == 0);
}

struct block *block_new(struct dice *dice, size_t bytes)
{
	size_t alignment = (size_t)64 << dice_roll(dice, 8);
	struct block *block = NULL;
	void *memory = NULL;

	errno = ERRNO_UNTOUCHED;
	switch (dice_roll(dice, 8)) {
	case 0:
		block = calloc(1, bytes);
		if (block != NULL)
			check_zero((const unsigned char *)block, bytes);
		break;
	case 1:
		block = aligned_alloc(alignment, bytes);
		MUST((uintptr_t)block % alignment == 0);
		break;
	case 2:
		/* Its result is the error, and errno is left alone. */
		if (posix_memalign(&memory, alignment, bytes) == 0)
			block = memory;
		MUST(errno == ERRNO_UNTOUCHED);
		errno = block != NULL ? ERRNO_UNTOUCHED : ENOMEM;
		MUST((uintptr_t)block % alignment == 0);
		break;
	default:
		block = malloc(bytes);
	}
	MUST(errno == (block != NULL ? ERRNO_UNTOUCHED : ENOMEM));
	if (block == NULL)
		return NULL;
	MUST(malloc_usable_size(block) >= bytes);
	fill(block, bytes);
	atomic_fetch_add_explicit(&alive, 1, memory_order_relaxed);
	return block;
}

struct block *block_resize(struct block *block, size_t bytes)
{
	uintptr_t address = (uintptr_t)block;
	size_t was_bytes = block->bytes;
	struct block *moved;

	block_check(block);
	errno = ERRNO_UNTOUCHED;
	moved = realloc(block, bytes);
	MUST(errno == (moved != NULL ? ERRNO_UNTOUCHED : ENOMEM));
	if (moved == NULL)
		return NULL;
	check(moved, (const void *)address, was_bytes, bytes < was_bytes ? bytes : was_bytes);
	fill(moved, bytes);
	return moved;
}

size_t block_free(struct block *block)
{
	size_t bytes;

	if (block == NULL)
		return 0;
	block_check(block);
	bytes = block->bytes;
	/* Whoever still believes that it is theirs shall see. */
	if (words_of(bytes) > 0)
		block->words[0] = GONE;
	atomic_fetch_sub_explicit(&alive, 1, memory_order_relaxed);
	errno = ERRNO_UNTOUCHED;
	free(block);
	MUST(errno == ERRNO_UNTOUCHED);
	return bytes;
}

long blocks_count(void)
{
	return atomic_load(&alive);
}

struct block *slot_exchange(size_t slot, struct block *block)
{
	return atomic_exchange_explicit(&slots[slot], block, memory_order_acq_rel);
}

size_t slots_evict(struct dice *dice, size_t bytes)
{
	size_t first = dice_roll(dice, SLOTS), freed = 0;

	for (size_t i = 0; i < SLOTS && freed < bytes; i++)
		freed += block_free(slot_exchange((first + i) % SLOTS, NULL));
	return freed;
}

void slots_check(void)
{
	for (size_t i = 0; i < SLOTS; i++) {
		const struct block *block = atomic_load_explicit(&slots[i], memory_order_acquire);

		if (block != NULL)
			block_check(block);
	}
}
