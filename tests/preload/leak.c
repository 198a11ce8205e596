/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address space that an attempt has mapped, and that could not be used after all, goes back. The
 * heap keeps a record of 2 MiB for each GiB of addresses that it has blocks in; here there is room
 * for a block in a new GiB, but not for its record. Run with retain:false.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"

enum { TRIES = 100 };

/* Not by stdio, which allocates. */
static size_t address_space(void)
{
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[128] = "";

	CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
	close(fd);
	return strtoul(text, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static void limit(rlim_t bytes)
{
	const struct rlimit to_set = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};

	CHECK(setrlimit(RLIMIT_AS, &to_set) == 0);
}

int main(void)
{
	size_t before;
	void *block;
	int tries = 0;

	/* Until the room for records that the heap has in stock is used up. */
	do {
		CHECK(tries++ < TRIES);
		limit(RLIM_INFINITY);
		/* The kernel goes downwards: what is mapped after this comes below it. */
		CHECK(mmap(NULL, (size_t)2 << 30, PROT_NONE,
		           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED);
		before = address_space();
		limit(before + 3 * MIB / 2);
		block = malloc(MIB);
	} while (block);
	for (int i = 0; i < 10; i++) {
		errno = 0;
		CHECK(!malloc(MIB));
		CHECK_EQ(errno, ENOMEM);
	}
	/* Something may have been given back, even. */
	CHECK(address_space() <= before + 64 * KIB);
	return 0;
}
