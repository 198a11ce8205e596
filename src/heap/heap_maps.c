/* SPDX-License-Identifier: BSD-2-Clause */
#include "heap/heap_maps.h"

#include <stdatomic.h>
#include <sys/mman.h>

#include "base/base.h"
#include "heap/heap_fast.h"
#include "limits/pages.h"
#include "system/proc.h"

/* DEFAULT_MAX_MAP_COUNT in the kernel's include/linux/mm.h. */
#define DEFAULT_MAX_MAP_COUNT 65530
/* One in so many is the heap's: with what else the process maps it stays below a quarter. */
#define HEAP_PART 5

/* Counters that stand for themselves alone: all orders are relaxed. */
static atomic_size_t count;
static atomic_uintptr_t top; /* the end of the uppermost mapping that there ever was */
static size_t most = DEFAULT_MAX_MAP_COUNT / HEAP_PART; /* written before the first mapping */

static OOM_TLS bool may_split;

/* The system refused to cut a mapping in two, or nobody has asked it yet whether there may be one
   more. */
static atomic_bool may_be_scarce = true;

/* What the system refused to unmap and nobody knows any more. A slot is empty where `bytes` is 0;
   it is taken and emptied by way of BUSY, so that no lock is needed: the heap's own may be held
   here. */
#define LOST_MAX 64
#define BUSY 1
static struct {
	_Atomic uintptr_t addr;
	atomic_size_t bytes;
} lost[LOST_MAX];
/* Whether there ever was one: at each failure that can't be helped they are looked through. */
static atomic_bool has_lost;

void heap_maps_init(void)
{
	uint64_t max;

	if (proc_read_number("/proc/sys/vm/max_map_count", &max))
		most = (size_t)(max / HEAP_PART);
}

bool heap_maps_let_split(bool let)
{
	bool was = may_split;

	may_split = let;
	return was;
}

bool heap_maps_has_extent(const void *addr)
{
	emap_full_alloc_ctx_t found;

	return malloc_initialized() &&
	       !emap_full_alloc_ctx_try_lookup(tsdn_fetch(), &arena_emap_global, (void *)addr,
	                                       &found) &&
	       found.edata != NULL;
}

static size_t neighbours(const void *addr, size_t bytes)
{
	const char *begin = addr;

	return (size_t)heap_maps_has_extent(begin - PAGE) +
	       (size_t)heap_maps_has_extent(begin + bytes);
}

static void add(size_t mappings)
{
	atomic_fetch_add_explicit(&count, mappings, memory_order_relaxed);
}

static void raise_top(uintptr_t end)
{
	if (end > atomic_load_explicit(&top, memory_order_relaxed))
		atomic_store_explicit(&top, end, memory_order_relaxed);
}

bool heap_maps_is_below_top(const void *addr)
{
	return (uintptr_t)addr < atomic_load_explicit(&top, memory_order_relaxed);
}

void heap_maps_added(const void *addr, size_t bytes)
{
	raise_top((uintptr_t)addr + bytes);
	/* The kernel merges it with each neighbour. */
	add(1 - neighbours(addr, bytes));
}

static void removed(const void *addr, size_t bytes)
{
	add(neighbours(addr, bytes) - 1);
}

size_t heap_maps_count(void)
{
	size_t mappings = atomic_load_explicit(&count, memory_order_relaxed);

	return mappings <= PTRDIFF_MAX ? mappings : 0;
}

static bool try_mapping(size_t bytes, int protection)
{
	void *memory = pages_mmap(NULL, bytes, protection,
	                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	pages_munmap(memory, bytes);
	return true;
}

bool heap_maps_has_room(size_t bytes)
{
	/* As the heap's own: RLIMIT_DATA counts no other. */
	return try_mapping(bytes, PROT_READ | PROT_WRITE);
}

bool heap_maps_has_slot(void)
{
	/* No other mapping has this protection, so that it is merged with none. */
	if (atomic_load_explicit(&may_be_scarce, memory_order_relaxed))
		atomic_store_explicit(&may_be_scarce, !try_mapping(PAGE, PROT_NONE),
		                      memory_order_relaxed);
	return !atomic_load_explicit(&may_be_scarce, memory_order_relaxed);
}

bool heap_maps_try_unmap(void *addr, size_t bytes)
{
	bool splits = neighbours(addr, bytes) == 2;

	if (splits && (!may_split || heap_maps_count() >= most))
		return false;
	if (pages_munmap(addr, bytes) != 0) {
		atomic_store_explicit(&may_be_scarce, true, memory_order_relaxed);
		return false;
	}
	removed(addr, bytes);
	return true;
}

static void remember(void *addr, size_t bytes)
{
	pages_madvise(addr, bytes, MADV_DONTNEED);
	atomic_store_explicit(&has_lost, true, memory_order_relaxed);
	for (size_t i = 0; i < LOST_MAX; i++) {
		size_t empty = 0;

		if (atomic_compare_exchange_strong(&lost[i].bytes, &empty, BUSY)) {
			atomic_store(&lost[i].addr, (uintptr_t)addr);
			atomic_store(&lost[i].bytes, bytes);
			return;
		}
	}
	/* No more than addresses are lost now. */
}

void heap_maps_unmap(void *addr, size_t bytes)
{
	if (pages_munmap(addr, bytes) != 0)
		remember(addr, bytes);
}

void heap_maps_drop(void *addr, size_t bytes)
{
	removed(addr, bytes);
	heap_maps_unmap(addr, bytes);
}

void heap_maps_retry(void)
{
	if (!atomic_load_explicit(&has_lost, memory_order_relaxed))
		return;
	for (size_t i = 0; i < LOST_MAX; i++) {
		size_t bytes = atomic_load(&lost[i].bytes);

		if (bytes <= BUSY || !atomic_compare_exchange_strong(&lost[i].bytes, &bytes, BUSY))
			continue;
		if (pages_munmap((void *)atomic_load(&lost[i].addr), bytes) == 0)
			bytes = 0;
		atomic_store(&lost[i].bytes, bytes);
	}
}
