/* SPDX-License-Identifier: BSD-2-Clause */
#include "heap/blocks_inside.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "config/options.h"
#include "heap/heap_fast.h"
#include "limits/pages.h"
#include "lockdep/frames.h"

/* The last bytes of a block. Both numbers are mixed with the block's address, so that neither is
   mistaken for what the program had there, nor survives a copy of the block. */
struct tail {
	uint64_t size;
	_Atomic uint64_t state;
};

/* A write by a few bytes too many leaves the size as it is. */
#define GUARD_BYTES_MIN 8
/* Where jemalloc gave far more, pages would be touched that nobody wants. */
#define GUARD_BYTES_MAX ((size_t)PAGE)

static size_t stacks_bytes(void)
{
	return options.is_block_stacks ? 2 * BLOCK_FRAMES * sizeof(void *) : 0;
}

size_t block_extra(void)
{
	return GUARD_BYTES_MIN + stacks_bytes() + sizeof(struct tail);
}

static struct tail *tail_of(const struct block *block)
{
	return (struct tail *)(void *)(block->memory + block->whole) - 1;
}

static void **stacks_of(const struct block *block)
{
	return (void **)(void *)((char *)tail_of(block) - stacks_bytes());
}

/* splitmix64's last steps. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t key_of(const struct block *block)
{
	return mix((uintptr_t)block->memory);
}

static uint64_t code_of(const struct block *block, enum block_state state)
{
	return mix(key_of(block) + block->size * 4 + state);
}

static enum block_state read_state(struct block *block)
{
	const struct tail *tail = tail_of(block);
	uint64_t state = atomic_load_explicit(&tail->state, memory_order_acquire);

	block->size = tail->size ^ key_of(block);
	block->has_size = block->size <= block->whole - block_extra();
	block->is_hollow = false;
	if (block->has_size) {
		if (state == code_of(block, BLOCK_LIVE))
			return BLOCK_LIVE;
		if (state == code_of(block, BLOCK_FREED))
			return BLOCK_FREED;
		/* The guard before the tail may be what was overwritten, and the state. */
		return BLOCK_DAMAGED;
	}
	block->size = block->whole - block_extra();
	return BLOCK_DAMAGED;
}

/* ---- Finding blocks ---- */

static bool look_up(const void *address, emap_full_alloc_ctx_t *found)
{
	return malloc_initialized() &&
	       !emap_full_alloc_ctx_try_lookup(tsdn_fetch(), &arena_emap_global, address, found) &&
	       found->edata != NULL && found->szind < SC_NSIZES;
}

/* The block of that extent in which the address lies. */
static void cut_out(const emap_full_alloc_ctx_t *found, const void *address, struct block *block)
{
	char *start = edata_addr_get(found->edata);

	block->whole = sz_index2size(found->szind);
	block->memory = start;
	if (found->slab)
		block->memory +=
			(size_t)((const char *)address - start) / block->whole * block->whole;
	block->is_by_hand = edata_arena_ind_get(found->edata) >= manual_arena_base;
}

bool block_find(const void *memory, struct block *block, enum block_state *state)
{
	emap_full_alloc_ctx_t found;

	if (!look_up(memory, &found))
		return false;
	cut_out(&found, memory, block);
	/* Blocks of jemalloc's own may be too small for a tail. */
	if (block->memory != memory || block->whole < block_extra())
		return false;
	*state = read_state(block);
	return true;
}

/* Of a large block jemalloc knows the first page and the last. */
#define PAGES_BACK ((size_t)1 << 20)

bool block_around(const void *address, struct block *block, enum block_state *state)
{
	uintptr_t page = (uintptr_t)address & ~(uintptr_t)PAGE_MASK;
	emap_full_alloc_ctx_t found;

	for (size_t i = 0; i < PAGES_BACK && page > i << LG_PAGE; i++) {
		const void *before = i == 0 ? address : (const void *)(page - (i << LG_PAGE));

		if (!look_up(before, &found))
			continue;
		cut_out(&found, before, block);
		if ((const char *)address < block->memory ||
		    (const char *)address >= block->memory + block->whole)
			return false;
		block->size = block->whole;
		block->has_size = false;
		*state = block->whole < block_extra() ? BLOCK_DAMAGED : read_state(block);
		return true;
	}
	return false;
}

/* ---- Guard and tail ---- */

static size_t guard_bytes(const struct block *block)
{
	size_t bytes = (size_t)((char *)stacks_of(block) - block->memory) - block->size;

	return bytes < GUARD_BYTES_MAX ? bytes : GUARD_BYTES_MAX;
}

/* Its first use may allocate. */
static OOM_TLS bool is_tracing;

static OOM_NOINLINE void put_stack(const struct block *block, enum block_state which)
{
	void **to = stacks_of(block) + (which == BLOCK_FREED ? BLOCK_FRAMES : 0);
	void *frames[BLOCK_FRAMES + 4];
	int count;

	if (stacks_bytes() == 0)
		return;
	memset(to, 0, BLOCK_FRAMES * sizeof *to);
	if (is_tracing)
		return;
	is_tracing = true;
	count = frames_take(frames, BLOCK_FRAMES + 4);
	is_tracing = false;
	/* The first are this file's. */
	for (int i = 2; i < count && i - 2 < BLOCK_FRAMES; i++)
		to[i - 2] = frames[i];
}

void *const *block_stack(const struct block *block, enum block_state which)
{
	return stacks_bytes() > 0 ? stacks_of(block) + (which == BLOCK_FREED ? BLOCK_FRAMES : 0)
	                          : NULL;
}

void block_seal(const struct block *block)
{
	struct tail *tail = tail_of(block);

	memset(block->memory + block->size, BLOCK_GUARD_BYTE, guard_bytes(block));
	put_stack(block, BLOCK_LIVE);
	tail->size = block->size ^ key_of(block);
	atomic_store_explicit(&tail->state, code_of(block, BLOCK_LIVE), memory_order_release);
}

bool block_retire(const struct block *block)
{
	uint64_t live = code_of(block, BLOCK_LIVE);

	if (!atomic_compare_exchange_strong(&tail_of(block)->state, &live,
	                                    code_of(block, BLOCK_FREED)))
		return false;
	put_stack(block, BLOCK_FREED);
	return true;
}

/* The first of these bytes that is another, or `bytes`. */
static size_t first_other(const char *from, size_t bytes, unsigned char byte)
{
	size_t at = 0;

	/* Most are all alike, and memcmp() is fast. */
	if (bytes == 0 ||
	    ((unsigned char)from[0] == byte && memcmp(from, from + 1, bytes - 1) == 0))
		return bytes;
	while (at < bytes && (unsigned char)from[at] == byte)
		at++;
	return at;
}

size_t block_overflow(const struct block *block)
{
	size_t bytes = guard_bytes(block),
	       at = first_other(block->memory + block->size, bytes, BLOCK_GUARD_BYTE);

	return at < bytes ? block->size + at : block->whole;
}

/* The pages that lie within the program's bytes. */
static void pages_of(const struct block *block, size_t *from, size_t *to)
{
	uintptr_t start = (uintptr_t)block->memory;

	*from = PAGE_CEILING(start) - start;
	*to = ((start + block->size) & ~(uintptr_t)PAGE_MASK) - start;
}

void block_fill(struct block *block, bool is_hollow)
{
	size_t end = (size_t)((char *)stacks_of(block) - block->memory), from = end, to = end;

	if (is_hollow)
		pages_of(block, &from, &to);
	/* Memory that is locked stays where it is. */
	block->is_hollow =
		is_hollow && pages_madvise(block->memory + from, to - from, MADV_DONTNEED) == 0;
	if (!block->is_hollow)
		from = to = end;
	memset(block->memory, BLOCK_FREED_BYTE, from);
	memset(block->memory + to, BLOCK_FREED_BYTE, end - to);
}

static size_t touched_content(const struct block *block, size_t end)
{
	size_t from = end, to = end, at;

	if (block->is_hollow)
		pages_of(block, &from, &to);
	at = first_other(block->memory, from, BLOCK_FREED_BYTE);
	if (at < from || from == end)
		return at;
	at = first_other(block->memory + from, to - from, 0);
	if (at < to - from)
		return from + at;
	return to + first_other(block->memory + to, end - to, BLOCK_FREED_BYTE);
}

size_t block_touched(const struct block *block)
{
	size_t bytes = (size_t)((char *)stacks_of(block) - block->memory),
	       at = touched_content(block, bytes);
	const struct tail *tail = tail_of(block);

	if (at < bytes)
		return at;
	if (tail->size != (block->size ^ key_of(block)))
		return (size_t)((const char *)&tail->size - block->memory);
	if (tail->state != code_of(block, BLOCK_FREED))
		return (size_t)((const char *)&tail->state - block->memory);
	return block->whole;
}
