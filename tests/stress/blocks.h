/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blocks whose every byte is known: a pattern of their address and size. A block that was handed
 * out twice, moved without its contents or written to by anybody else is told by it.
 */
#ifndef BLOCKS_H
#define BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the process with a line on stderr. Allocates nothing. */
#define MUST(condition) ((condition) ? (void)0 : stress_failed(__FILE__, __LINE__, #condition))
__attribute__((noreturn)) void stress_failed(const char *file, int line, const char *condition);

/* Pseudo-random numbers: the same ones for the same seed. */
struct dice {
	uint64_t state;
};
uint64_t dice_roll(struct dice *dice, uint64_t below);
bool dice_once_in(struct dice *dice, uint64_t times);
/* Mostly small, seldom up to 1 MiB. */
size_t dice_size(struct dice *dice);

/* Its first word is its size, the rest the pattern. Of one thread at a time. */
struct block;

/* By one of malloc's family, filled. NULL where there is no memory; errno is looked at. */
struct block *block_new(struct dice *dice, size_t bytes);
/* Another size; NULL where there is no memory, and then the old one is as it was. */
struct block *block_resize(struct block *block, size_t bytes);
void block_check(const struct block *block);
/* Checks, overwrites and frees it; returns its size. NULL is 0. */
size_t block_free(struct block *block);

/* Blocks that are alive. */
long blocks_count(void);

/* ---- Where threads leave blocks for one another ---- */

#define SLOTS 8192

/* Puts a block, or NULL, in place of what is there. */
struct block *slot_exchange(size_t slot, struct block *block);
/* Frees up to `bytes` from a random place on; returns how many. */
size_t slots_evict(struct dice *dice, size_t bytes);
/* Of a child after fork(), whose only thread calls it: nobody changes them. */
void slots_check(void);

#endif
