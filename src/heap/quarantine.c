/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where freed blocks wait, the oldest first to leave. A program that still writes to one is found
 * out when it leaves; and as long as it waits nobody else has it.
 *
 * A fork() may come between any two lines, in another thread: so each store leaves the ring whole,
 * and a child takes the flag from its parent (table_lock()). At worst it never gives one block
 * back.
 */
#include "config/options.h"
#include "heap/blocks_inside.h"
#include "heap/heap_fast.h"
#include "limits/budget.h"
#include "lockdep/lockdep.h"

#define SLOTS 65536
#define GONE 4096

/* All for the thread that has the flag. A slot outside of the ring has what waited there before: a
   block that was freed. */
static struct {
	table_flag flag;
	size_t bytes_max, bytes;
	size_t hollow_max, hollow;
	uint64_t begin, end; /* of slots, counted without end */
	struct block slots[SLOTS];
	uint64_t gone_end;
	struct block gone[GONE]; /* large, or freed without waiting */
} ring;

/* See blocks_kept_bytes(). */
static OOM_TLS int64_t kept_bytes;

int64_t blocks_kept_bytes(void)
{
	return kept_bytes;
}

/* A limit leaves little: what waits counts against it. */
#define LIMIT_SHARE 8
/* A large block waits without its pages. */
#define HOLLOW_TIMES 64
#define HOLLOW_COST ((size_t)2 * PAGE)

void quarantine_init(void)
{
	size_t limit = budget_max_bytes(), most = options.block_quarantine_bytes;

	ring.bytes_max = most < limit / LIMIT_SHARE ? most : limit / LIMIT_SHARE;
	ring.hollow_max = limit == SIZE_MAX ? most * HOLLOW_TIMES : limit / LIMIT_SHARE;
}

/* What it takes of memory, and of addresses beside. */
static size_t cost(const struct block *block)
{
	return block->is_hollow ? HOLLOW_COST : block->whole;
}

static size_t hollow_bytes(const struct block *block)
{
	return block->is_hollow ? block->whole : 0;
}

static size_t minus(size_t from, size_t bytes)
{
	return from > bytes ? from - bytes : 0;
}

static struct block *slot(uint64_t number)
{
	return &ring.slots[number % SLOTS];
}

/* The oldest, where there is no room for another one; or always. */
static bool take_oldest(const struct block *another, struct block *block)
{
	bool is_found = false;

	table_lock(&ring.flag);
	if (ring.begin != ring.end &&
	    (another == NULL || ring.bytes + cost(another) > ring.bytes_max ||
	     ring.hollow + hollow_bytes(another) > ring.hollow_max ||
	     ring.end - ring.begin == SLOTS)) {
		*block = *slot(ring.begin);
		ring.begin++;
		ring.bytes = minus(ring.bytes, cost(block));
		ring.hollow = minus(ring.hollow, hollow_bytes(block));
		is_found = true;
	}
	table_unlock(&ring.flag);
	return is_found;
}

static bool append(const struct block *block)
{
	bool has_slot;

	table_lock(&ring.flag);
	has_slot = ring.end - ring.begin < SLOTS;
	if (has_slot) {
		*slot(ring.end) = *block;
		ring.end++;
		ring.bytes += cost(block);
		ring.hollow += hollow_bytes(block);
	}
	table_unlock(&ring.flag);
	return has_slot;
}

static void make_room(const struct block *another)
{
	struct block block;

	while (take_oldest(another, &block)) {
		size_t at = block_touched(&block);

		if (unlikely(at < block.whole))
			block_report_touched(&block, at);
		kept_bytes -= (int64_t)block.whole;
		/* A small one says for itself that it was freed. */
		if (block.whole > SC_SMALL_MAXCLASS)
			quarantine_note(&block);
		je_free(block.memory);
	}
}

bool quarantine_take(struct block *block)
{
	bool is_large = block->whole > ring.bytes_max / 2 && block->size >= 2 * PAGE;

	if (block->is_by_hand || ring.bytes_max < HOLLOW_COST ||
	    (is_large ? ring.hollow_max : ring.bytes_max) < block->whole)
		return false;
	block_fill(block, is_large);
	do
		make_room(block);
	while (!append(block));
	kept_bytes += (int64_t)block->whole;
	return true;
}

void quarantine_note(const struct block *block)
{
	table_lock(&ring.flag);
	ring.gone[ring.gone_end++ % GONE] = *block;
	table_unlock(&ring.flag);
}

static bool is_among(const struct block *blocks, uint64_t count, uint64_t end, const void *memory,
                     struct block *block)
{
	for (uint64_t i = 1; i <= count && i <= end; i++) {
		*block = blocks[(end - i) % count];
		if (block->memory == memory)
			return true;
	}
	return false;
}

/* Without the flag: the program ends here. */
bool quarantine_recall(const void *memory, struct block *block)
{
	return is_among(ring.gone, GONE, ring.gone_end, memory, block) ||
	       is_among(ring.slots, SLOTS, ring.end, memory, block);
}

void blocks_drain(void)
{
	make_room(NULL);
}

/* What is written to later is not seen any more. */
void blocks_stop(void)
{
	make_room(NULL);
}
