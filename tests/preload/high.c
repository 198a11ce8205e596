/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses of more bits than the heap keeps: on some processors the kernel has them for programs
 * that ask for them by a hint. What gets one here gives it back, and the allocation fails as
 * without memory.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "je.h"

/* Nobody is to touch what is there. */
#define HIGH ((void *)((uintptr_t)1 << 52))
#define BASE_ALIGNMENT ((size_t)2 * MIB)

static bool is_high;
static int given, returned;

/* In the place of libc's, for the library too. */
__attribute__((visibility("default"))) void *mmap(void *addr, size_t length, int prot, int flags,
                                                  int fd, off_t offset)
{
	if (!is_high || (flags & MAP_FIXED))
		return (void *)syscall(SYS_mmap, addr, length, prot, flags, fd, offset);
	given++;
	return HIGH;
}

__attribute__((visibility("default"))) int munmap(void *addr, size_t length)
{
	if (addr != HIGH)
		return (int)syscall(SYS_munmap, addr, length);
	returned++;
	return 0;
}

static void mapped(void)
{
	void *memory;

	is_high = true;
	errno = 0;
	memory = malloc(64 * MIB);
	is_high = false;
	CHECK(!memory);
	CHECK_EQ(errno, ENOMEM);
	CHECK(given > 0);
	CHECK_EQ(returned, given);
	memory = malloc(64 * MIB);
	CHECK(memory);
	free(memory);
}

/* ---- A program's own extent hooks ---- */

static int low_ones;

static void *give(struct extent_hooks *hooks, void *new_addr, size_t size, size_t alignment,
                  bool *zero, bool *commit, unsigned arena)
{
	(void)hooks, (void)arena;
	if (new_addr)
		return NULL;
	*commit = true;
	if (low_ones > 0) {
		low_ones--;
		CHECK(*zero && alignment <= BASE_ALIGNMENT);
		return (void *)(((uintptr_t)mmap(NULL, size + alignment, PROT_READ | PROT_WRITE,
		                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) +
		                 alignment - 1) &
		                ~(alignment - 1));
	}
	given++;
	return HIGH;
}

static bool take_back(struct extent_hooks *hooks, void *addr, size_t size, bool committed,
                      unsigned arena)
{
	(void)hooks, (void)size, (void)committed, (void)arena;
	if (addr == HIGH)
		returned++;
	return false;
}

static struct extent_hooks own_hooks = {give, take_back, {NULL}};

static int create_arena(unsigned *arena)
{
	struct extent_hooks *to_set = &own_hooks;
	size_t length = sizeof *arena;

	return mallctl("arenas.create", arena, &length, &to_set, sizeof(void *));
}

static void hooks(void)
{
	unsigned arena;

	/* Not even the arena's own records. */
	CHECK(create_arena(&arena) != 0);
	CHECK(given > 0);
	CHECK_EQ(returned, given);
	low_ones = 1;
	CHECK(create_arena(&arena) == 0);
	given = returned = 0;
	errno = 0;
	CHECK(!mallocx(MIB, MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE));
	CHECK_EQ(errno, ENOMEM);
	CHECK(given > 0);
	CHECK_EQ(returned, given);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"mapped", mapped},
		{"hooks", hooks},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
