/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * glibc's extras. Left to glibc they would speak of its own heap, which is empty; here they answer
 * for ours, as near to malloc(3), mallinfo(3), malloc_trim(3) and malloc_info(3) as it has the
 * figures.
 */
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/base.h"
#include "base/io.h"
#include "base/io_write.h"
#include "heap/blocks.h"
#include "heap/heap_ops.h"

OOM_EXPORT int malloc_trim(size_t pad)
{
	struct heap_stats before = {0}, after = {0};

	/* The pad is of glibc's one contiguous heap; here pages go one by one. */
	(void)pad;
	blocks_drain();
	heap_ops.flush_thread();
	heap_ops.stats(&before);
	heap_ops.purge(GROUP_KEEPS_NONE);
	heap_ops.stats(&after);
	return after.dirty < before.dirty;
}

/* As mallinfo(3) has it, uordblks is all that is in use; what hblkhd counts is in it. */
OOM_EXPORT struct mallinfo2 mallinfo2(void)
{
	struct heap_stats stats = {0};
	struct heap_blocks blocks;

	blocks_drain();
	heap_ops.stats(&stats);
	heap_count_blocks(&blocks);
	return (struct mallinfo2){
		.arena = stats.mapped,
		.ordblks = blocks.free,
		.hblks = blocks.large,
		.hblkhd = blocks.large_bytes,
		.uordblks = stats.allocated,
		.fordblks = stats.active - stats.allocated + stats.dirty,
		.keepcost = stats.dirty,
	};
}

/* mallinfo(3): the fields are int, and too small; glibc's wrap around, these stay at the end. */
static int int_of(size_t bytes)
{
	return bytes < INT_MAX ? (int)bytes : INT_MAX;
}

OOM_EXPORT struct mallinfo mallinfo(void)
{
	const struct mallinfo2 info = mallinfo2();

	return (struct mallinfo){
		.arena = int_of(info.arena),
		.ordblks = int_of(info.ordblks),
		.hblks = int_of(info.hblks),
		.hblkhd = int_of(info.hblkhd),
		.uordblks = int_of(info.uordblks),
		.fordblks = int_of(info.fordblks),
		.keepcost = int_of(info.keepcost),
	};
}

OOM_EXPORT void malloc_stats(void)
{
	const struct mallinfo2 info = mallinfo2();
	char text[IO_LINE_BYTES];
	struct io_buf buf = {.text = text, .bytes = sizeof text};

	io_printf(&buf, "Total (incl. mmap):\nsystem bytes     = %10zu\nin use bytes     = %10zu\n",
	          info.arena, info.uordblks);
	io_write(STDERR_FILENO, text, buf.used, IO_WRITE_WAIT_MS);
}

OOM_EXPORT int malloc_info(int options, FILE *stream)
{
	struct heap_stats stats = {0};
	int cancel_state, written;

	/* An error number, as in glibc, and errno as it was. */
	if (options != 0)
		return EINVAL;
	blocks_drain();
	heap_ops.stats(&stats);
	/* All else about the stream is the program's business; but this is no cancellation
	   point. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	written = fprintf(stream,
	                  "<malloc version=\"oomreclaim\">\n"
	                  "<total type=\"rest\" count=\"0\" size=\"%zu\"/>\n"
	                  "<system type=\"current\" size=\"%zu\"/>\n"
	                  "<system type=\"max\" size=\"%zu\"/>\n"
	                  "<aspace type=\"total\" size=\"%zu\"/>\n"
	                  "<aspace type=\"mprotect\" size=\"%zu\"/>\n</malloc>\n",
	                  stats.active - stats.allocated + stats.dirty, stats.mapped, stats.mapped,
	                  stats.mapped + stats.retained, stats.mapped);
	pthread_setcancelstate(cancel_state, NULL);
	return written < 0 ? -1 : 0;
}

/* The heap has none of the parameters of glibc's malloc: success (1) for those that glibc knows. */
OOM_EXPORT int mallopt(int param, int value)
{
	(void)value;
	switch (param) {
	case M_MXFAST:
	case M_TRIM_THRESHOLD:
	case M_TOP_PAD:
	case M_MMAP_THRESHOLD:
	case M_MMAP_MAX:
	case M_CHECK_ACTION:
	case M_PERTURB:
	case M_ARENA_TEST:
	case M_ARENA_MAX:
		return 1;
	default:
		return 0;
	}
}
