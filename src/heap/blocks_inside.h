/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the block check share: see blocks.h. */
#ifndef OOM_BLOCKS_INSIDE_H
#define OOM_BLOCKS_INSIDE_H

#include "heap/blocks.h"

/* What is freed is filled with the byte that jemalloc's junk:free has; the guard has one that is
   seldom written. */
#define BLOCK_FREED_BYTE 0x5a
#define BLOCK_GUARD_BYTE 0xfb
#define BLOCK_FRAMES 12

enum block_state { BLOCK_LIVE, BLOCK_FREED, BLOCK_DAMAGED };

struct block {
	char *memory;
	size_t size;   /* as the program has it; the most that it can be, where has_size is false */
	size_t whole;  /* as jemalloc has it */
	bool has_size; /* else it was written over */
	bool is_by_hand; /* of an arena that the program made, and may destroy */
	bool is_hollow;  /* freed, and its pages given up */
};

/* ---- How a block is laid out (blocks.c) ---- */

/* Bytes that each block has behind the program's. */
size_t block_extra(void);
/* Of the heap: a block begins there, with `whole` set, and `size` if it is not damaged. False: none
   does. */
bool block_find(const void *memory, struct block *block, enum block_state *state);
/* The block that the address lies within. */
bool block_around(const void *address, struct block *block, enum block_state *state);
/* Writes guard and tail of a block in use. */
void block_seal(const struct block *block);
/* From in use to freed; false if another thread was faster. */
bool block_retire(const struct block *block);
/* The first byte behind the program's own that is not as it was left, counted from the block's
   start; `whole` if all are. */
size_t block_overflow(const struct block *block);
/* Fills what was freed, or gives its pages up and sets is_hollow; the first byte that is no longer
   so, `whole` if all are. */
void block_fill(struct block *block, bool is_hollow);
size_t block_touched(const struct block *block);
/* Where it was allocated and freed, up to BLOCK_FRAMES each and NULL behind the last; NULL without
   block_stacks. */
void *const *block_stack(const struct block *block, enum block_state which);

/* ---- What is said; all but one abort (blocks_report.c) ---- */

/* `what` is "frees", "resizes", "asks for the size of" or "pins", say. */
_Noreturn void block_report_twice(const struct block *block, const char *what);
_Noreturn void block_report_none(const void *memory, const char *what);
_Noreturn void block_report_overflow(const struct block *block, size_t at);
_Noreturn void block_report_touched(const struct block *block, size_t at);
_Noreturn void block_report_size(const struct block *block, size_t size);

/* ---- The quarantine (quarantine.c) ---- */

/* Once options are there. */
void quarantine_init(void);
/* Takes a block that was retired; false: it can't wait, and jemalloc shall have it. */
bool quarantine_take(struct block *block);
/* A block that went there at once. */
void quarantine_note(const struct block *block);
/* The last block that was freed at that address, if it is known still. */
bool quarantine_recall(const void *memory, struct block *block);

#endif
