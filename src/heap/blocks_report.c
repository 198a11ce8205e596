/* SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <stdlib.h>

#include "base/io.h"
#include "heap/blocks_inside.h"
#include "lockdep/lockdep.h"

/* The end of the first thread's stack, which the loader knows. */
extern void *__libc_stack_end;

static void put_stack(const struct block *block, enum block_state which)
{
	void *const *frames = block_stack(block, which);
	char text[512];
	struct io_buf buf = {.text = text, .bytes = sizeof text};

	if (frames == NULL)
		return;
	io_warn("block check:   it was %s by", which == BLOCK_LIVE ? "allocated" : "freed");
	for (int i = 0; i < BLOCK_FRAMES && frames[i] != NULL; i++) {
		/* The first are the library itself. */
		if (place_is_own(frames[i]))
			continue;
		buf.used = 0;
		place_put(&buf, frames[i]);
		io_warn("block check:     %s", text);
	}
}

void block_report_twice(const struct block *block, const char *what)
{
	io_warn("block check: the program %s a block of %zu bytes at %p that it has freed before",
	        what, block->size, (void *)block->memory);
	put_stack(block, BLOCK_LIVE);
	put_stack(block, BLOCK_FREED);
	abort();
}

/* The block is no more, and what it had behind it may be somebody else's. */
static _Noreturn void report_gone(const struct block *block, const char *what)
{
	io_warn("block check: the program %s a block of %zu bytes at %p that it has freed before",
	        what, block->size, (void *)block->memory);
	abort();
}

static bool is_on_stack(const void *memory)
{
	/* Where the stack of another thread than the first ends, glibc has what it knows of that
	   thread. */
	uintptr_t here = (uintptr_t)__builtin_frame_address(0), end = (uintptr_t)pthread_self();

	if (here > end)
		end = (uintptr_t)__libc_stack_end;
	return (uintptr_t)memory > here && (uintptr_t)memory < end;
}

void block_report_none(const void *memory, const char *what)
{
	enum block_state state;
	struct symbol symbol;
	struct block block, gone;
	bool is_inside;

	is_inside = block_around(memory, &block, &state) && block.memory != memory;
	if ((!is_inside || state != BLOCK_LIVE) && quarantine_recall(memory, &gone))
		report_gone(&gone, what);
	if (is_inside)
		io_warn("block check: the program %s %p, which lies %zu bytes into a block of %s%zu "
		        "bytes at %p%s",
		        what, memory, (size_t)((const char *)memory - block.memory),
		        block.has_size ? "" : "at most ", block.size, (void *)block.memory,
		        state == BLOCK_FREED ? " that it has freed before" : "");
	else if (symbol_at(memory, &symbol))
		io_warn("block check: the program %s %p, which is no block but lies in %s", what,
		        memory, symbol.file);
	else
		io_warn("block check: the program %s %p, which is no block%s", what, memory,
		        is_on_stack(memory) ? " but lies on the stack" : "");
	abort();
}

void block_report_overflow(const struct block *block, size_t at)
{
	if (block->has_size && at < block->whole)
		io_warn("block check: the program has written to byte %zu of a block of %zu bytes "
		        "at %p, behind its end",
		        at, block->size, (void *)block->memory);
	else
		io_warn("block check: the program has written behind the end of a block of at most "
		        "%zu bytes at %p",
		        block->size, (void *)block->memory);
	/* Else it is written over as well. */
	if (block->has_size)
		put_stack(block, BLOCK_LIVE);
	abort();
}

void block_report_touched(const struct block *block, size_t at)
{
	io_warn("block check: the program has written to byte %zu of a block of %zu bytes at %p "
	        "that it had freed before",
	        at, block->size, (void *)block->memory);
	put_stack(block, BLOCK_LIVE);
	put_stack(block, BLOCK_FREED);
	abort();
}

void block_report_size(const struct block *block, size_t size)
{
	io_warn("block check: the program frees a block of %zu bytes at %p as one of %zu bytes",
	        block->size, (void *)block->memory, size);
	put_stack(block, BLOCK_LIVE);
	abort();
}
