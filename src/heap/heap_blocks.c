/* SPDX-License-Identifier: BSD-2-Clause */
/* How many blocks there are, from jemalloc's statistics: for mallinfo(). */
#include "base/base.h"
#include "base/io.h"
#include "heap/heap_fast.h"
#include "heap/heap_ops.h"

#define STRING_OF(x) #x
#define STRING(x) STRING_OF(x)
#define OF_ALL_ARENAS "stats.arenas." STRING(MALLCTL_ARENAS_ALL) "."

#define NAME_BYTES 64

/* 0 where the heap keeps no statistics, or not this one. */
static size_t count_of(const char *before, unsigned index, const char *behind)
{
	char name[NAME_BYTES];
	struct io_buf buf = {.text = name, .bytes = sizeof name};
	size_t value = 0, length = sizeof value;

	io_printf(&buf, "%s%u%s", before, index, behind);
	return je_mallctl(name, &value, &length, NULL, 0) == 0 ? value : 0;
}

/* Blocks that are free in the slabs of one size. */
static size_t free_in_slabs(unsigned bin)
{
	size_t in_use = count_of(OF_ALL_ARENAS "bins.", bin, ".curregs"),
	       all = count_of(OF_ALL_ARENAS "bins.", bin, ".curslabs") * bin_infos[bin].nregs;

	/* Another thread may be at work between the two. */
	return all > in_use ? all - in_use : 0;
}

void heap_count_blocks(struct heap_blocks *blocks)
{
	size_t length = sizeof blocks->large_bytes;

	*blocks = (struct heap_blocks){0};
	if (!malloc_initialized())
		return;
	for (unsigned i = 0; i < SC_NBINS; i++)
		blocks->free += free_in_slabs(i);
	for (unsigned i = 0; i < SC_NPSIZES; i++)
		blocks->free += count_of(OF_ALL_ARENAS "extents.", i, ".ndirty") +
		                count_of(OF_ALL_ARENAS "extents.", i, ".nmuzzy");
	for (unsigned i = 0; i < SC_NSIZES - SC_NBINS; i++)
		blocks->large += count_of(OF_ALL_ARENAS "lextents.", i, ".curlextents");
	je_mallctl(OF_ALL_ARENAS "large.allocated", &blocks->large_bytes, &length, NULL, 0);
}
