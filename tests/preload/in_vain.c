/* SPDX-License-Identifier: BSD-2-Clause */
/* What can't help is not done: neither is the system asked again, nor is anything taken from
   smaller blocks. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "check.h"
#include "je.h"
#include "oomreclaim.h"

#define PAGE_BLOCK ((size_t)4096)

static void *pages[2048];
static struct oomreclaim_stats before, after;
static unsigned asked, unmapped;

/* In the place of libc's, for the library too. */
__attribute__((visibility("default"))) void *mmap(void *addr, size_t length, int prot, int flags,
                                                  int fd, off_t offset)
{
	asked++;
	return (void *)syscall(SYS_mmap, addr, length, prot, flags, fd, offset);
}

__attribute__((visibility("default"))) int munmap(void *addr, size_t length)
{
	unmapped++;
	return (int)syscall(SYS_munmap, addr, length);
}

static void read_stats(struct oomreclaim_stats *stats)
{
	CHECK_EQ(oomreclaim_stats_get(stats, sizeof *stats), 0);
}

/* What the program has of its own, to be unmapped later. */
static void *own(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(at != MAP_FAILED);
	return at;
}

/* By malloc alone: RLIMIT_DATA and a budget do not count what else is mapped. */
static void use_up(void)
{
	for (size_t bytes = 4 * MIB; bytes >= 8; bytes /= 2)
		while (malloc(bytes))
			;
}

/* Everything is taken; then some pages are free, no two side by side. */
static void leave_pages(size_t count)
{
	space_in_one_leaf(256 * MIB);
	for (size_t i = 0; i < COUNT(pages); i++)
		CHECK((pages[i] = mallocx(PAGE_BLOCK, MALLOCX_TCACHE_NONE)));
	use_up();
	for (size_t i = 0; i < count; i++)
		dallocx(pages[4 * i], MALLOCX_TCACHE_NONE);
}

static void refuse(size_t bytes)
{
	read_stats(&before);
	asked = unmapped = 0;
	CHECK(!malloc(bytes));
	read_stats(&after);
	CHECK_EQ(after.refused, before.refused + 1);
}

/* All that is free is not enough: it stays, for smaller blocks. Under RLIMIT_AS, RLIMIT_DATA or a
   budget. */
static void too_little(void)
{
	leave_pages(64);
	for (int i = 0; i < 200; i++) {
		refuse(2 * MIB);
		CHECK_EQ(after.evictions, before.evictions);
		CHECK_EQ(after.full_evictions, before.full_evictions);
		CHECK(after.heap_dirty >= 64 * PAGE_BLOCK);
	}
	for (int i = 0; i < 64; i++)
		CHECK(mallocx(PAGE_BLOCK, MALLOCX_TCACHE_NONE));
	read_stats(&after);
	CHECK_EQ(after.failures, before.failures + 1);
}

/* Not quite: with what the process may still map it is. Run under RLIMIT_AS. */
static void enough(void)
{
	void *at = own(MIB);

	leave_pages(64);
	munmap(at, MIB);
	read_stats(&before);
	CHECK(malloc(MIB)); /* which takes a page more */
	read_stats(&after);
	CHECK(after.evictions > before.evictions);
}

/* The system is asked for a block twice: as it fails, and whether to give back would help. */
static void asks(void)
{
	leave_pages(64);
	refuse(2 * MIB);
	for (int i = 0; i < 10; i++) {
		free(mallocx(64, 0)); /* something to flush */
		refuse(2 * MIB);
		CHECK(asked <= 2);
		CHECK_EQ(unmapped, 0);
	}
}

/* But what others have unmapped meanwhile is found: the mapping is asked for at each failure. */
static void asks_again(void)
{
	void *at = own(4 * MIB);

	leave_pages(0);
	refuse(2 * MIB);
	munmap(at, 4 * MIB);
	CHECK(malloc(2 * MIB));
}

/* With dirty_decay_ms:0 the heap unmaps what is flushed: then the mapping is asked for. */
static void unmapped_by_flush(void)
{
	void *cached[8];

	for (size_t i = 0; i < COUNT(cached); i++)
		CHECK((cached[i] = malloc(28000)));
	leave_pages(0);
	for (size_t i = 0; i < COUNT(cached); i++)
		free(cached[i]);
	CHECK(mallocx(32000, MALLOCX_TCACHE_NONE));
}

/* Under limit:64M: the budget has a MiB and a page left, and 1.25 MiB and a page are needed. The
   rest is free, and a few pages for what the heap notes about the block. */
static void enough_pages(void)
{
	void *one = mallocx(MIB, MALLOCX_TCACHE_NONE);

	CHECK(one);
	leave_pages(0);
	dallocx(one, MALLOCX_TCACHE_NONE);
	malloc_trim(0);
	for (size_t i = 0; i < 68; i++)
		dallocx(pages[4 * i], MALLOCX_TCACHE_NONE);
	read_stats(&before);
	CHECK(malloc(MIB + 64 * KIB));
	read_stats(&after);
	CHECK(after.evictions > before.evictions);
}

static size_t cached(void)
{
	uint64_t epoch = 1;
	size_t bytes;

	CHECK_EQ(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
	JE_READ("stats.arenas.0.tcache_bytes", &bytes);
	return bytes;
}

/* From a failure on this thread's cache takes a few blocks at a time: to flush it is cheap, and
   what it keeps from the others little. */
static void little_cached(void)
{
	void *one;
	size_t least;

	leave_pages(64);
	refuse(2 * MIB);
	least = cached();
	CHECK((one = malloc(256)));
	CHECK(cached() <= least + 8 * 256);
	free(one);
}

static unsigned calls;

static size_t count_call(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	calls++;
	return 0;
}

/* Whether the kernel refuses what is larger than memory and swap, and nothing else. */
static bool is_heuristic(void)
{
	char mode = '0';
	int file = open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC);

	CHECK(file >= 0 && read(file, &mode, 1) == 1);
	close(file);
	return mode == '0';
}

/* As with libc's malloc(): NULL for what the machine can never have, and nobody is asked to give
   for it. What it could have, if nothing else were there, is not refused. */
static void beyond_machine(void)
{
	struct sysinfo machine;
	void *block;
	size_t bytes;

	CHECK(sysinfo(&machine) == 0);
	bytes = (size_t)(machine.totalram + machine.totalswap) * machine.mem_unit;
	CHECK_EQ(oomreclaim_register("count", 0, 0, count_call, NULL, NULL), 0);
	if (!is_heuristic())
		_exit(77);
	block = malloc(bytes / 2);
	CHECK(block);
	free(block);
	for (size_t more = 2048 * MIB; more < (size_t)1 << 46; more *= 4) {
		errno = ERRNO_UNTOUCHED;
		CHECK(!(block = malloc(bytes + more)));
		CHECK_EQ(errno, ENOMEM);
		CHECK(!(block = calloc(1, bytes + more)));
	}
	CHECK_EQ(calls, 0);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {{"too-little", too_little},
	                                          {"enough", enough},
	                                          {"asks", asks},
	                                          {"asks-again", asks_again},
	                                          {"unmapped", unmapped_by_flush},
	                                          {"enough-pages", enough_pages},
	                                          {"little-cached", little_cached},
	                                          {"beyond-machine", beyond_machine}};

	return check_main(argc, argv, cases, COUNT(cases));
}
