/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdatomic.h>
#include <string.h>

#include "config/options.h"
#include "heap/blocks_inside.h"
#include "heap/heap_fast.h"
#include "lockdep/lockdep.h"

/* jemalloc's malloc() reads the settings when it starts: before that none can be looked up. */
static bool is_on(void)
{
	static atomic_uint is_known;

	if (likely(atomic_load_explicit(&is_known, memory_order_acquire) != 0))
		return options.is_block_check;
	/* That starts it, and takes no memory from it. Where it can't start every request fails. */
	if (je_nallocx(1, 0) == 0)
		return false;
	quarantine_init();
	/* What is freed is filled here. And it is known for a block that was, until jemalloc has
	   another use for it. */
	if (options.is_block_check)
		opt_junk_free = false;
	atomic_store_explicit(&is_known, 1, memory_order_release);
	return options.is_block_check;
}

/* SIZE_MAX where jemalloc has no such size, and may assert. */
static size_t padded(size_t size)
{
	return size <= SC_LARGE_MAXCLASS - block_extra() ? size + block_extra() : SIZE_MAX;
}

static void *allocate(size_t size, int flags)
{
	struct block block = {.size = size, .has_size = true};

	if (padded(size) == SIZE_MAX)
		return NULL;
	block.memory = je_mallocx(padded(size), flags);
	if (block.memory == NULL)
		return NULL;
	block.whole = je_malloc_usable_size(block.memory);
	block_seal(&block);
	return block.memory;
}

/* A block in use, whole; or the program ends. */
static struct block take(const void *memory, const char *what)
{
	enum block_state state;
	struct block block;
	size_t at;

	if (!block_find(memory, &block, &state))
		block_report_none(memory, what);
	if (state == BLOCK_FREED)
		block_report_twice(&block, what);
	at = block_overflow(&block);
	if (at < block.whole || state == BLOCK_DAMAGED)
		block_report_overflow(&block, at);
	return block;
}

/* Locks in it are no more, though the heap does not take it back yet: that says so itself
   (heap_freed.c). */
static void forget_locks(const void *memory, size_t bytes)
{
	if (options.lock_check != LOCK_CHECK_OFF)
		lockdep_freed(memory, bytes);
}

/* Takes it out of use; `flags` are those of dallocx(). */
static void release(struct block *block, const char *what, int flags)
{
	if (!block_retire(block))
		block_report_twice(block, what);
	forget_locks(block->memory, block->whole);
	if (flags == 0 && quarantine_take(block))
		return;
	block_fill(block, false);
	quarantine_note(block);
	if (flags == 0)
		je_free(block->memory);
	else
		je_dallocx(block->memory, flags);
}

void *blocks_malloc(size_t size)
{
	return is_on() ? allocate(size, 0) : malloc_default(size);
}

void *blocks_calloc(size_t count, size_t size)
{
	return is_on() ? allocate(mul_saturated(count, size), MALLOCX_ZERO)
	               : je_calloc(count, size);
}

void *blocks_memalign(size_t alignment, size_t size)
{
	return is_on() ? allocate(size, (int)MALLOCX_ALIGN(alignment))
	               : je_memalign(alignment, size);
}

void *blocks_mallocx(size_t size, int flags)
{
	return is_on() ? allocate(size, flags) : je_mallocx(size, flags);
}

/* ---- Another size ---- */

static void zero_behind(const struct block *old, size_t size, int flags)
{
	if ((flags & MALLOCX_ZERO) != 0 && size > old->size)
		memset(old->memory + old->size, 0, size - old->size);
}

static void set_size(const struct block *old, size_t size)
{
	struct block block = *old;

	block.size = size;
	if (size < old->size)
		forget_locks(old->memory + size, old->size - size);
	block_seal(&block);
}

static bool is_aligned(const void *memory, int flags)
{
	return ((uintptr_t)memory & (MALLOCX_ALIGN_GET(flags) - 1)) == 0;
}

static void *resize(void *memory, size_t size, int flags)
{
	struct block block = take(memory, "resizes");
	const int place = flags & ~MALLOCX_ZERO;
	void *moved;

	if (padded(size) == SIZE_MAX)
		return NULL;
	if ((place & ~MALLOCX_LG_ALIGN_MASK) == 0 && is_aligned(memory, flags) &&
	    je_nallocx(padded(size), 0) == block.whole) {
		zero_behind(&block, size, flags);
		set_size(&block, size);
		return memory;
	}
	moved = allocate(size, heap_group_flags_beside(memory, flags));
	if (moved == NULL)
		return NULL;
	memcpy(moved, memory, size < block.size ? size : block.size);
	release(&block, "resizes", place & ~(MALLOCX_LG_ALIGN_MASK | MALLOCX_ARENA_MASK));
	return moved;
}

static void *resize_to_nothing(void *memory)
{
	/* As zero_realloc in MALLOC_CONF has it. */
	if (opt_zero_realloc_action == zero_realloc_action_alloc)
		return resize(memory, 0, 0);
	if (opt_zero_realloc_action == zero_realloc_action_abort)
		return je_realloc(memory, 0);
	blocks_free(memory);
	return NULL;
}

void *blocks_realloc(void *old, size_t size)
{
	if (!is_on())
		return je_realloc(old, size);
	if (old == NULL)
		return allocate(size, 0);
	return size > 0 ? resize(old, size, 0) : resize_to_nothing(old);
}

void *blocks_rallocx(void *old, size_t size, int flags)
{
	return is_on() ? resize(old, size, flags) : je_rallocx(old, size, flags);
}

size_t blocks_xallocx(void *memory, size_t size, size_t extra, int flags)
{
	struct block block;
	size_t most;

	if (!is_on())
		return je_xallocx(memory, size, extra, flags);
	block = take(memory, "resizes");
	if (padded(size) == SIZE_MAX)
		return block.size;
	most = add_saturated(size, extra);
	je_xallocx(memory, padded(size), extra, flags & ~MALLOCX_ZERO);
	block.whole = je_malloc_usable_size(memory);
	if (block.whole < padded(size)) {
		block_seal(&block);
		return block.size;
	}
	if (most > block.whole - block_extra())
		most = block.whole - block_extra();
	zero_behind(&block, most, flags);
	set_size(&block, most);
	return most;
}

size_t blocks_nallocx(size_t size, int flags)
{
	if (!is_on())
		return je_nallocx(size, flags);
	return padded(size) != SIZE_MAX && je_nallocx(padded(size), flags) != 0 ? size : 0;
}

size_t blocks_size(const void *memory)
{
	if (memory == NULL)
		return 0;
	if (!is_on())
		/* Its argument is not const in every build. */
		return je_malloc_usable_size((void *)(uintptr_t)memory);
	return take(memory, "asks for the size of").size;
}

void blocks_look_at(const void *memory, const char *what)
{
	if (memory != NULL && is_on())
		take(memory, what);
}

/* ---- Free ---- */

static void free_checked(void *memory, int flags)
{
	struct block block = take(memory, "frees");

	release(&block, "frees", flags);
}

static void free_sized(void *memory, size_t size, int flags)
{
	struct block block = take(memory, "frees");

	/* 0 bytes are served as 1 by some. */
	if (block.size != size && (block.size | size) > 1)
		block_report_size(&block, size);
	release(&block, "frees", flags & ~MALLOCX_LG_ALIGN_MASK);
}

void blocks_free(void *memory)
{
	/* Also while jemalloc starts, when nothing can be looked up. */
	if (memory == NULL)
		return;
	if (is_on())
		free_checked(memory, 0);
	else
		je_free(memory);
}

void blocks_dallocx(void *memory, int flags)
{
	if (is_on()) {
		free_checked(memory, flags);
		return;
	}
	je_dallocx(memory, flags);
}

void blocks_sdallocx(void *memory, size_t size, int flags)
{
	if (is_on()) {
		free_sized(memory, size, flags);
		return;
	}
	je_sdallocx(memory, size, flags);
}

void blocks_free_sized(void *memory, size_t size)
{
	if (memory == NULL)
		return;
	if (is_on())
		free_sized(memory, size, 0);
	else
		je_free(memory);
}
