/* SPDX-License-Identifier: BSD-2-Clause */
/* Every public entry that may map. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../preload/je.h"
#include "nth.h"

/* Not to be had without a mapping, once the heap was trimmed. */
#define BIG (24 * MIB)

/* C++'s, from C. */
__attribute__((weak)) extern void *new_nothrow(size_t bytes,
                                               const void *tag) __asm__("_ZnwmRKSt9nothrow_t");
__attribute__((weak)) extern void *new_aligned_nothrow(
	size_t bytes, size_t alignment,
	const void *tag) __asm__("_ZnamSt11align_val_tRKSt9nothrow_t");

/* Of what came aligned and of that size; gives it back. */
static bool take(void *memory, size_t bytes, size_t alignment)
{
	if (nth_refused(memory))
		return false;
	CHECK((uintptr_t)memory % alignment == 0);
	CHECK(malloc_usable_size(memory) >= bytes);
	nth_fill(memory, bytes);
	nth_check(memory, bytes);
	free(memory);
	return true;
}

static bool run_malloc(void)
{
	return take(malloc(BIG), BIG, 16);
}

/* Of one size after the other, all held: slabs, and what the heap keeps of them. */
static bool run_small(void)
{
	struct pool pool = {0};
	bool is_done = true;

	for (size_t bytes = 16; bytes <= 32 * KIB && is_done; bytes *= 2)
		for (size_t i = 0; i < 64 * KIB / bytes + 1 && is_done; i++)
			is_done = pool_add(&pool, bytes);
	if (!is_done)
		nth_refused(NULL);
	pool_clear(&pool);
	return is_done;
}

static bool is_zero(const unsigned char *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (at[i] != 0)
			return false;
	return true;
}

static bool run_calloc(void)
{
	unsigned char *memory = calloc(BIG / 8, 8);

	CHECK(memory == NULL || is_zero(memory, BIG));
	return take(memory, BIG, 16);
}

/* The old block is whole whatever comes of it. */
static bool grow(void *(*resize)(void *memory, size_t bytes))
{
	unsigned char *memory = malloc(BIG / 16), *larger;
	bool is_done = true;

	if (nth_refused(memory))
		return false;
	memset(memory, 7, BIG / 16);
	for (size_t bytes = BIG / 8; bytes <= BIG && is_done; bytes *= 2) {
		larger = resize(memory, bytes);
		is_done = !nth_refused(larger);
		memory = is_done ? larger : memory;
		for (size_t i = 0; i < BIG / 16; i++)
			CHECK(memory[i] == 7);
	}
	free(memory);
	return is_done;
}

static bool run_realloc(void)
{
	return grow(realloc);
}

static void *by_array(void *memory, size_t bytes)
{
	return reallocarray(memory, bytes / 8, 8);
}

static bool run_reallocarray(void)
{
	return grow(by_array);
}

static void *by_rallocx(void *memory, size_t bytes)
{
	return rallocx(memory, bytes, 0);
}

/* Without the errno of C's functions: jemalloc says nothing of it. */
static bool run_rallocx(void)
{
	return grow(by_rallocx);
}

static bool run_xallocx(void)
{
	void *memory = mallocx(BIG / 4, 0);
	size_t bytes;

	if (nth_refused(memory))
		return false;
	nth_fill(memory, BIG / 4);
	bytes = xallocx(memory, BIG, 0, 0);
	CHECK(bytes >= BIG / 4 && bytes == sallocx(memory, 0));
	nth_check(memory, BIG / 4);
	dallocx(memory, 0);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
	return true;
}

static bool run_mallocx(void)
{
	unsigned char *memory = mallocx(BIG, MALLOCX_LG_ALIGN(16) | MALLOCX_ZERO);

	CHECK(memory == NULL || is_zero(memory, BIG));
	return take(memory, BIG, 1 << 16);
}

static bool run_aligned(void)
{
	return take(aligned_alloc(2 * MIB, BIG), BIG, 2 * MIB);
}

static bool run_memalign(void)
{
	return take(memalign(64 * KIB, BIG), BIG, 64 * KIB);
}

static bool run_posix_memalign(void)
{
	void *memory = &memory;
	int error = posix_memalign(&memory, 8 * MIB, BIG);

	CHECK_EQ(errno, ERRNO_UNTOUCHED);
	if (error) {
		CHECK_EQ(error, ENOMEM);
		CHECK(memory == &memory);
		return false;
	}
	return take(memory, BIG, 8 * MIB);
}

static bool run_pages(void)
{
	return take(valloc(BIG), BIG, 4096) && take(pvalloc(BIG - 1), BIG, 4096);
}

static bool run_new(void)
{
	return take(new_nothrow(BIG, "tag"), BIG, 16) &&
	       take(new_aligned_nothrow(BIG, 4096, "tag"), BIG, 4096);
}

static size_t give_nothing(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	return 0;
}

/* Until a slab is full, so that one of them maps. */
static bool run_register(void)
{
	const struct oomreclaim_shrinker shrinker = {.name = "other",
	                                             .count = give_nothing,
	                                             .scan = give_nothing,
	                                             .cost = 1};
	oomreclaim_handle handles[400];
	int error = 0;
	size_t count = 0;

	while (count < COUNT(handles) && !error)
		error = count % 2 == 0 ? oomreclaim_register("one", 0, 0, give_nothing, NULL,
		                                             &handles[count++])
		                       : oomreclaim_shrinker_register(&shrinker, sizeof shrinker,
		                                                      &handles[count++]);
	CHECK(error == 0 || error == ENOMEM);
	if (error)
		count--;
	while (count > 0)
		CHECK_EQ(oomreclaim_unregister(handles[--count]), 0);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
	return !error;
}

/* What comes of the thread that these call for is nobody's concern. */
static bool ask_for_room(void)
{
	const struct oomreclaim_shrinker shrinker = {.name = "cache",
	                                             .count = give_nothing,
	                                             .scan = give_nothing,
	                                             .cost = 1};
	oomreclaim_handle cache, room;
	void *memory;

	errno = ERRNO_UNTOUCHED;
	if (oomreclaim_shrinker_register(&shrinker, sizeof shrinker, &cache) != 0)
		return false;
	if (oomreclaim_register("room", 0, OOMRECLAIM_CALLBACK_ROOM, give_nothing, NULL, &room) !=
	    0)
		return false;
	CHECK(oomreclaim_headroom(NULL) > 0);
	oomreclaim_cache_target(cache);
	CHECK_EQ(oomreclaim_cache_regret(cache, 1), 0);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
	memory = malloc(BIG);
	free(memory);
	CHECK_EQ(oomreclaim_unregister(room), 0);
	CHECK_EQ(oomreclaim_unregister(cache), 0);
	return memory != NULL;
}

/* In a child the first of them is the first. */
static bool run_room(void)
{
	pid_t child = fork();

	if (child == 0)
		nth_exit(!ask_for_room());
	return check_child(child) == 0;
}

/* The block is had or not, and then nothing is left of it. */
static bool run_purgeable(void)
{
	struct oomreclaim_purgeable *made = oomreclaim_purgeable_alloc(BIG, 1);
	void *block;

	if (!made)
		return !nth_refused(NULL);
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
	block = oomreclaim_purgeable_block(made);
	nth_fill(block, BIG);
	CHECK_EQ(oomreclaim_purgeable_unpin(made), 0);
	CHECK(oomreclaim_purgeable_pin(made) == block);
	nth_check(block, BIG);
	return take(oomreclaim_purgeable_take(made), BIG, 16);
}

static void drop(void *arg, const char *text)
{
	*(size_t *)arg += strlen(text);
}

/* What tells of the heap needs no memory that it can't do without. */
static bool run_tell(void)
{
	struct oomreclaim_stats stats;
	size_t length = 0;
	void *memory = malloc(BIG);

	CHECK_EQ(oomreclaim_stats_get(&stats, sizeof stats), 0);
	malloc_stats_print(drop, &length, "J");
	CHECK(length > 1000);
	mallinfo2();
	oomreclaim_reclaim(MIB);
	oomreclaim_set_limit(SIZE_MAX);
	malloc_trim(0);
	errno = memory ? ERRNO_UNTOUCHED : errno;
	return take(memory, BIG, 16);
}

/* An arena of one's own, with blocks in it, and away with it. */
static bool run_arena(void)
{
	size_t length = sizeof(unsigned);
	char name[32];
	unsigned arena;
	void *memory;

	if (mallctl("arenas.create", &arena, &length, NULL, 0) != 0)
		return false;
	memory = mallocx(BIG, MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE);
	if (memory)
		dallocx(memory, MALLOCX_TCACHE_NONE);
	snprintf(name, sizeof name, "arena.%u.destroy", arena);
	CHECK_EQ(mallctl(name, NULL, NULL, NULL, 0), 0);
	return memory != NULL;
}

static void *first_blocks(void *result)
{
	void *memory;

	oomreclaim_fault_thread(true);
	errno = ERRNO_UNTOUCHED;
	memory = malloc(100);
	if (memory) {
		*(bool *)result = true;
		free(memory);
	}
	return NULL;
}

/* A thread's first allocation makes its cache, and may make its arena. */
static bool run_thread(void)
{
	bool is_done[8] = {false}, is_all = true;
	pthread_t threads[COUNT(is_done)];
	int error;

	for (size_t i = 0; i < COUNT(threads); i++) {
		error = pthread_create(&threads[i], NULL, first_blocks, &is_done[i]);
		CHECK(error == 0 || error == EAGAIN || error == ENOMEM);
		if (error)
			return false;
		pthread_join(threads[i], NULL);
		is_all = is_all && is_done[i];
	}
	return is_all;
}

static bool run_fork(void)
{
	struct pool pool = {0};
	pid_t child = fork();

	if (child == 0)
		nth_exit(!run_malloc() || !pool_add(&pool, 3 * KIB) || !pool_add(&pool, MIB));
	return check_child(child) == 0;
}

int main(int argc, char **argv)
{
	static const struct operation operations[] = {
		{"malloc", run_malloc, NULL, 1},
		{"small", run_small, NULL, 1},
		{"calloc", run_calloc, NULL, 1},
		{"realloc", run_realloc, NULL, 1},
		{"reallocarray", run_reallocarray, NULL, 1},
		{"rallocx", run_rallocx, NULL, 1},
		{"xallocx", run_xallocx, NULL, 1},
		{"mallocx", run_mallocx, NULL, 1},
		{"aligned", run_aligned, NULL, 1},
		{"memalign", run_memalign, NULL, 1},
		{"posix_memalign", run_posix_memalign, NULL, 1},
		{"pages", run_pages, NULL, 1},
		{"new", run_new, NULL, 1},
		{"register", run_register, NULL, 1},
		{"room", run_room, NULL, 1},
		{"purgeable", run_purgeable, NULL, 1},
		{"tell", run_tell, NULL, 1},
		{"arena", run_arena, NULL, 0},
		{"thread", run_thread, NULL, 0},
		{"fork", run_fork, NULL, 1},
	};

	return nth_main(argc, argv, operations, COUNT(operations));
}
