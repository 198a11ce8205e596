/* SPDX-License-Identifier: BSD-2-Clause */
/* Mappings are a limit of the whole process: what the heap gives back must not use them up. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "charged.h"
#include "check.h"
#include "je.h"
#include "oomreclaim.h"

#define BLOCKS_MAX 400000

static void *blocks[BLOCKS_MAX];
static size_t used;

/* Without an allocation: the heap is what is looked at. */
static size_t count_maps(void)
{
	static char text[65536];
	FILE *maps = fopen("/proc/self/maps", "re");
	size_t lines = 0, got;

	CHECK(maps);
	setvbuf(maps, NULL, _IONBF, 0);
	while ((got = fread(text, 1, sizeof text, maps)) > 0)
		for (size_t i = 0; i < got; i++)
			lines += text[i] == '\n';
	fclose(maps);
	return lines;
}

static size_t max_maps(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	size_t max = 0;

	CHECK(file && fscanf(file, "%zu", &max) == 1);
	fclose(file);
	return max;
}

static void *nothing(void *arg)
{
	return arg;
}

/* What needs mappings of the program's own. */
static void works(void)
{
	void *own = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;
	int status;
	pid_t pid;

	CHECK(own != MAP_FAILED);
	munmap(own, 4096);
	CHECK_EQ(pthread_create(&thread, NULL, nothing, NULL), 0);
	pthread_join(thread, NULL);
	pid = fork();
	if (pid == 0)
		_exit(malloc(100000) ? 0 : 1);
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

static size_t random_size(size_t least, size_t most)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return least + (state >> 33) % (most - least + 1);
}

/* Fills the heap and frees every other block. */
static void leave_holes(size_t count, size_t least, size_t most)
{
	used = count;
	for (size_t i = 0; i < count; i++) {
		blocks[i] = malloc(random_size(least, most));
		if (!blocks[i]) {
			used = i;
			break;
		}
		*(char *)blocks[i] = 1;
	}
	CHECK(used > count / 4);
	for (size_t i = 0; i < used; i += 2) {
		free(blocks[i]);
		blocks[i] = NULL;
	}
}

/* What gives back adds none. A few are the program's own: a stream, a stack that is kept. */
#define SLACK 4

static void gives_back(size_t count, size_t least, size_t most, void (*give)(void))
{
	size_t before;

	leave_holes(count, least, most);
	before = count_maps();
	give();
	CHECK(count_maps() <= before + SLACK);
	works();
	/* And all of it can be had again. */
	for (size_t i = 0; i < used; i += 2) {
		blocks[i] = malloc(least);
		CHECK(blocks[i]);
	}
}

static void trim(void)
{
	malloc_trim(0);
}

static void reclaim(void)
{
	oomreclaim_reclaim(1);
}

static void fail_at_limit(void)
{
	int count = 0;

	while (malloc(16 * MIB))
		CHECK(count++ < 1000);
}

static void trim_pages(void)
{
	gives_back(200000, 4096, 4096, trim);
}

static void trim_blocks(void)
{
	gives_back(100000, 20000, 20000, trim);
}

static void trim_large(void)
{
	gives_back(2000, MIB, MIB, trim);
}

static void trim_random(void)
{
	gives_back(20000, 4096, 100000, trim);
}

static void reclaim_random(void)
{
	gives_back(20000, 4096, 100000, reclaim);
}

/* Run with limit:1G. */
static void limit(void)
{
	leave_holes(40000, 20000, 20000);
	size_t before = count_maps();

	fail_at_limit();
	CHECK(count_maps() <= before + SLACK);
	works();
}

/* Run under RLIMIT_AS or RLIMIT_DATA: there addresses are what is short. */
static void addresses(void)
{
	static const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};

	leave_holes(200000, 20000, 20000);
	fail_at_limit();
	CHECK(count_maps() < max_maps() / 4);
	/* Addresses are used up, so there is none for a thread either; but mappings are not. */
	if (setrlimit(RLIMIT_AS, &none) == 0 && setrlimit(RLIMIT_DATA, &none) == 0)
		works();
}

/* Unmapped in the middle of the heap and mapped elsewhere, over and over: mappings that the system
   merges are one, or there were soon too many to unmap another. */
static void again(void)
{
	size_t count = 0;

	space_in_one_leaf(512 * MIB);
	while (count < 128 && (blocks[count] = malloc(MIB)) != NULL)
		count++;
	CHECK(count > 64);
	for (size_t round = 0; round < max_maps() / 4; round++) {
		void **one = &blocks[round * 7 % count], **other = &blocks[(round * 7 + 3) % count];
		void *both;

		free(*one);
		free(*other);
		both = malloc(2 * MIB);
		CHECK(both);
		free(both);
		CHECK((*one = malloc(MIB)) && (*other = malloc(MIB)));
	}
	CHECK(count_maps() < 3 * count + 100);
}

/* Two protections side by side, over and over, until there can be no mapping more. */
static void *use_up(size_t *bytes)
{
	size_t page = 4096;
	char *region;

	*bytes = (max_maps() + 1000) * page;
	region = mmap(NULL, *bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(region != MAP_FAILED);
	for (size_t i = page; i < *bytes; i += 2 * page)
		if (mprotect(region + i, page, PROT_READ) != 0)
			break;
	return region;
}

/* The heap can't unmap then, as that takes a mapping; what it gives back is given back all the
   same, and found again. */
static void used_up(void)
{
	size_t bytes, most;
	void *region;

	leave_holes(40000, 20000, 20000);
	most = charged();
	region = use_up(&bytes);
	malloc_trim(0);
	CHECK(charged() < most / 4 * 3);
	for (int i = 0; i < 5; i++) {
		for (size_t k = 0; k < used; k += 2) {
			blocks[k] = malloc(20000);
			CHECK(blocks[k]);
		}
		CHECK(charged() <= most + most / 8);
		for (size_t k = 0; k < used; k += 2)
			free(blocks[k]);
		malloc_trim(0);
	}
	for (size_t k = 1; k < used; k += 2)
		free(blocks[k]);
	malloc_trim(0);
	CHECK(charged() < 24 * MIB);
	munmap(region, bytes);
	works();
}

/* The same where addresses are short, and the heap would unmap. */
static void used_up_addresses(void)
{
	size_t bytes, refused = 0;
	void *region;

	leave_holes(20000, 20000, 20000);
	region = use_up(&bytes);
	for (int i = 0; i < 20; i++)
		free(malloc(600 * MIB));
	/* But for a few at the ends of mappings, which are gone: as no mapping can be had for
	   these. */
	for (size_t k = 0; k < used; k += 2) {
		blocks[k] = malloc(20000);
		refused += !blocks[k];
	}
	CHECK(refused <= used / 100);
	munmap(region, bytes);
	for (size_t k = 0; k < used; k += 2)
		CHECK(blocks[k] || malloc(20000));
	works();
}

/* Pages that are locked in memory can't be given back: they stay charged, once, until they can. */
static void locked(void)
{
	size_t before, least = charged();

	CHECK_EQ(mlockall(MCL_CURRENT | MCL_FUTURE), 0);
	for (int i = 0; i < 4; i++) {
		leave_holes(2000, 20000, 20000);
		before = charged();
		malloc_trim(0);
		CHECK_EQ(charged(), before);
		for (size_t k = 1; k < used; k += 2)
			free(blocks[k]);
		malloc_trim(0);
		CHECK(charged() < 64 * MIB);
	}
	CHECK_EQ(munlockall(), 0);
	malloc_trim(0);
	CHECK(charged() < least + 8 * MIB);
}

/* What is unmapped is charged no longer, where it was refused before. */
static void locked_unmapped(void)
{
	static struct pool pool;
	struct rlimit addresses;
	size_t least = charged();

	used = 2000;
	for (size_t k = 0; k < used; k++)
		CHECK((blocks[k] = calloc(1, 20000)));
	CHECK_EQ(mlockall(MCL_CURRENT), 0);
	for (size_t k = 0; k < used; k += 2)
		free(blocks[k]);
	malloc_trim(0);
	CHECK(charged() > least + 32 * MIB);
	/* There are no addresses but those, and no more can be charged than there are. */
	CHECK_EQ(getrlimit(RLIMIT_AS, &addresses), 0);
	CHECK(pool_fill(&pool, MIB) > 0);
	CHECK(charged() < addresses.rlim_cur);
	CHECK_EQ(munlockall(), 0);
	pool_clear(&pool);
	for (size_t k = 1; k < used; k += 2)
		free(blocks[k]);
	malloc_trim(0);
	CHECK(charged() < least + 8 * MIB);
}

static void locked_destroyed(void)
{
	const int flags = MALLOCX_TCACHE_NONE;
	unsigned arena;
	size_t length = sizeof arena, before = 0;
	char name[64];
	void *block;

	for (int i = 0; i < 10; i++) {
		CHECK_EQ(mallctl("arenas.create", &arena, &length, NULL, 0), 0);
		block = mallocx(4 * MIB, flags | MALLOCX_ARENA(arena));
		CHECK(block && mlock(block, 4 * MIB) == 0);
		dallocx(block, flags);
		snprintf(name, sizeof name, "arena.%u.purge", arena);
		CHECK_EQ(mallctl(name, NULL, NULL, NULL, 0), 0);
		snprintf(name, sizeof name, "arena.%u.destroy", arena);
		CHECK_EQ(mallctl(name, NULL, NULL, NULL, 0), 0);
		CHECK(i == 0 || charged() < before + MIB);
		before = charged();
	}
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {{"trim-pages", trim_pages},
	                                          {"trim-blocks", trim_blocks},
	                                          {"trim-large", trim_large},
	                                          {"trim-random", trim_random},
	                                          {"reclaim-random", reclaim_random},
	                                          {"limit", limit},
	                                          {"addresses", addresses},
	                                          {"again", again},
	                                          {"used-up", used_up},
	                                          {"used-up-addresses", used_up_addresses},
	                                          {"locked", locked},
	                                          {"locked-unmapped", locked_unmapped},
	                                          {"locked-destroyed", locked_destroyed}};

	return check_main(argc, argv, cases, COUNT(cases));
}
