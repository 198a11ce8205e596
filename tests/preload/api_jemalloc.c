/* SPDX-License-Identifier: BSD-2-Clause */
/* jemalloc(3): a program that uses it loses nothing. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "je.h"
#include "oomreclaim.h"

static bool is_zero(const unsigned char *block, size_t from, size_t to)
{
	while (from < to && !block[from])
		from++;
	return from >= to;
}

static void blocks(void)
{
	unsigned char *block;
	unsigned arena;

	errno = ERRNO_UNTOUCHED;
	for (size_t bytes = 1; bytes < 8 * MIB; bytes = bytes * 5 + 3) {
		block = mallocx(bytes, MALLOCX_LG_ALIGN(12) | MALLOCX_ZERO);
		CHECK(block && ((uintptr_t)block & 4095) == 0);
		CHECK(is_zero(block, 0, bytes));
		CHECK(sallocx(block, MALLOCX_LG_ALIGN(12)) == nallocx(bytes, MALLOCX_LG_ALIGN(12)));
		memset(block, 0x5a, bytes);
		sdallocx(block, bytes, MALLOCX_LG_ALIGN(12));

		block = mallocx(bytes, 0);
		CHECK(block && sallocx(block, 0) >= bytes &&
		      sallocx(block, 0) == nallocx(bytes, 0));
		CHECK(xallocx(block, bytes, 0, 0) == sallocx(block, 0));
		memset(block, 0x5a, sallocx(block, 0));
		/* To its end, as rallocx(MALLOCX_ZERO) expects it. */
		dallocx(block, 0);
		block = calloc(1, bytes);
		CHECK(block && is_zero(block, 0, sallocx(block, 0)));
		memset(block, 0x5a, sallocx(block, 0));
		block = rallocx(block, bytes * 3, MALLOCX_ZERO);
		CHECK(block && block[0] == 0x5a && block[bytes - 1] == 0x5a);
		CHECK(is_zero(block, nallocx(bytes, 0), bytes * 3));
		dallocx(block, 0);
	}
	JE_READ("arenas.create", &arena);
	block = mallocx(5000, MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE);
	CHECK(block);
	block = rallocx(block, 50000, MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE);
	CHECK(block);
	sdallocx(block, 50000, MALLOCX_TCACHE_NONE);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
	CHECK(nallocx(PTRDIFF_MAX, 0) == 0);
	CHECK(!mallocx((size_t)PTRDIFF_MAX + 1, 0));
	CHECK_EQ(errno, ENOMEM);
	errno = 0;
	CHECK(!mallocx(1, MALLOCX_LG_ALIGN(62)));
	CHECK_EQ(errno, ENOMEM);
}

static void take_text(void *arg, const char *text)
{
	char *all = arg;

	strncat(all, text, 64 * KIB - strlen(all) - 1);
}

static void control(void)
{
	static char text[64 * KIB];
	size_t mib[2], length = COUNT(mib), pages, bytes = sizeof pages;
	const char *version;
	bool flag;

	JE_READ("version", &version);
	CHECK(strncmp(version, "5.3.0-", 6) == 0);
	CHECK(mallctl("no.such.name", NULL, NULL, NULL, 0) == ENOENT);
	CHECK(mallctlnametomib("arenas.page", mib, &length) == 0 && length == 2);
	CHECK(mallctlbymib(mib, length, &pages, &bytes, NULL, 0) == 0 && pages % 4096 == 0);
	/* A page of the kernel's may be smaller. */
	CHECK(pages % (size_t)sysconf(_SC_PAGESIZE) == 0);
	JE_READ("config.stats", &flag);
	CHECK(flag);
	malloc_stats_print(take_text, text, NULL);
	CHECK(strstr(text, "Begin jemalloc statistics") && strstr(text, "End jemalloc statistics"));
}

/* Run with MALLOC_CONF=prof:true,lg_prof_sample:0. */
static void profile(void)
{
	char path[] = "/tmp/oomreclaim-prof-XXXXXX", begin[8] = "";
	const char *name = path;
	void *volatile block;
	bool flag;
	int fd;

	JE_READ("config.prof", &flag);
	CHECK(flag);
	JE_READ("opt.prof", &flag);
	CHECK(flag);
	fd = mkstemp(path);
	block = malloc(100000);
	CHECK(mallctl("prof.dump", NULL, NULL, &name, sizeof name) == 0);
	free(block);
	CHECK(read(fd, begin, 7) == 7 && !strcmp(begin, "heap_v2"));
	unlink(path);
}

static unsigned last_arena(void)
{
	unsigned count;

	JE_READ("arenas.narenas", &count);
	return count - 1;
}

static void *use_last_arena(void *arg)
{
	unsigned arena = last_arena();
	void *blocks[64];

	(void)arg;
	CHECK_EQ(mallctl("thread.arena", NULL, NULL, &arena, sizeof arena), 0);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < COUNT(blocks); i++) {
			blocks[i] = malloc(MIB);
			CHECK(blocks[i]);
			memset(blocks[i], 0x5a, MIB);
		}
		for (size_t i = 0; i < COUNT(blocks); i++)
			free(blocks[i]);
		CHECK_EQ(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0), 0);
	}
	return NULL;
}

/* The reserve's arena has as much as any other, for threads that are bound to it and for blocks. */
static void last_arena_grows(void)
{
	unsigned before = last_arena();
	pthread_t thread;
	char *block, name[64];
	int flags;

	CHECK(oomreclaim_register("none", 0, 0, check_give_nothing, NULL, NULL) == 0);
	CHECK_EQ(last_arena(), before + 1);
	flags = (int)(MALLOCX_ARENA(last_arena()) | MALLOCX_TCACHE_NONE);
	CHECK(pthread_create(&thread, NULL, use_last_arena, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	block = mallocx(8 * MIB, flags);
	CHECK(block);
	memset(block, 0x5a, 8 * MIB);
	block = rallocx(block, 40 * MIB, flags | (int)MALLOCX_ZERO);
	CHECK(block && block[0] == 0x5a && block[8 * MIB - 1] == 0x5a && block[40 * MIB - 1] == 0);
	dallocx(block, MALLOCX_TCACHE_NONE);
	snprintf(name, sizeof name, "arena.%u.purge", last_arena());
	CHECK_EQ(mallctl(name, NULL, NULL, NULL, 0), 0);
}

/* Run with MALLOC_CONF=narenas:3,dirty_decay_ms:123. */
static void environment(void)
{
	unsigned arenas;
	ssize_t decay;

	JE_READ("opt.narenas", &arenas);
	CHECK(arenas == 3);
	JE_READ("opt.dirty_decay_ms", &decay);
	CHECK(decay == 123);
}

/* What the program is started with decides: `retained` and `not-retained`, see meson.build. */
static bool is_retaining(void)
{
	bool flag;

	JE_READ("opt.retain", &flag);
	return flag;
}

static void retained(void)
{
	CHECK(is_retaining());
}

static void not_retained(void)
{
	CHECK(!is_retaining());
}

/* Run with 64 MiB in all, or to have resident without a word from oomreclaimd: what is mapped ahead
   is not charged. A heap that lies across a multiple of 1 GiB, as one in fifteen does, has 6 MiB
   less: its tree of extents needs another leaf. */
static void retained_under_limit(void)
{
	enum { BLOCK_BYTES = 1 << 20, BLOCKS = 46 };
	static void *blocks[BLOCKS];
	struct oomreclaim_limit_stats stats;

	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(BLOCK_BYTES);
		CHECK(blocks[i]);
	}
	CHECK(is_retaining());
	CHECK_EQ(oomreclaim_limit_stats(&stats, sizeof stats), 0);
	CHECK_EQ(stats.times_met, 0);
	CHECK(stats.peak >= (size_t)BLOCKS * BLOCK_BYTES && stats.peak <= 64UL << 20);
	for (int i = 0; i < BLOCKS; i++)
		free(blocks[i]);
	malloc_trim(0);
	CHECK_EQ(oomreclaim_limit_stats(&stats, sizeof stats), 0);
	CHECK(stats.charged < 18UL << 20);
}

static size_t retained_bytes(void)
{
	uint64_t epoch = 1;
	size_t bytes;

	CHECK(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
	JE_READ("stats.retained", &bytes);
	return bytes;
}

/* Where address space is not retained small blocks come from larger mappings all the same. What is
   not used yet of these goes back when addresses are short, and not before. */
static void stock(void)
{
	enum { BLOCKS = 1000, BLOCK_BYTES = 4096, PIECE_BYTES = 256 << 10 };
	static void *blocks[BLOCKS];
	bool had_stock = false;

	CHECK(!is_retaining());
	for (int i = 0; i < BLOCKS; i++) {
		size_t before = retained_bytes();

		CHECK(before < PIECE_BYTES);
		had_stock = had_stock || before > 0;
		blocks[i] = malloc(BLOCK_BYTES);
		CHECK(blocks[i]);
		memset(blocks[i], 1, BLOCK_BYTES);
	}
	CHECK(had_stock);
	malloc_trim(0);
	CHECK(retained_bytes() < PIECE_BYTES);
	CHECK(!malloc(1000 * MIB));
	space_limit(MIB);
	/* Which takes a page more than that: the stock is unmapped for it. */
	CHECK(malloc(MIB));
	CHECK_EQ(retained_bytes(), 0);
	for (int i = 0; i < BLOCKS; i++)
		free(blocks[i]);
}

/* A great deal of small blocks is freed, and becomes few large extents. What is taken next in small
   blocks comes from these: jemalloc leaves them alone by default, and takes new pages. */
static void reuse(void)
{
	enum { BLOCKS = 40000, BLOCK_BYTES = 200 };
	static void *blocks[BLOCKS];
	size_t mapped[2];

	for (int round = 0; round < 2; round++) {
		uint64_t epoch = 1;

		for (int i = 0; i < BLOCKS; i++)
			CHECK(blocks[i] = malloc(BLOCK_BYTES));
		CHECK(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
		JE_READ("stats.mapped", &mapped[round]);
		for (int i = 0; i < BLOCKS; i++)
			free(blocks[i]);
		CHECK(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0);
	}
	CHECK(mapped[1] <= mapped[0] + MIB);
}

/* By the limit that it is started with, on however many processors. */
static unsigned arenas(void)
{
	unsigned count;

	JE_READ("opt.narenas", &count);
	return count;
}

static void one_arena(void)
{
	CHECK_EQ(arenas(), 1);
}

static void three_arenas(void)
{
	CHECK_EQ(arenas(), 3);
}

static void usual_arenas(void)
{
	cpu_set_t set;
	int processors;

	CHECK_EQ(sched_getaffinity(0, sizeof set, &set), 0);
	processors = CPU_COUNT(&set);
	CHECK_EQ(arenas(), processors);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"last-arena", last_arena_grows},
		{"blocks", blocks},
		{"control", control},
		{"profile", profile},
		{"environment", environment},
		{"retained", retained},
		{"not-retained", not_retained},
		{"retained-under-limit", retained_under_limit},
		{"stock", stock},
		{"reuse", reuse},
		{"one-arena", one_arena},
		{"three-arenas", three_arenas},
		{"usual-arenas", usual_arenas},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
