/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address space that an attempt has mapped, and that could not be used after all, goes back. The
 * heap keeps a record of 2 MiB for each GiB of addresses that it has blocks in; here there is room
 * for a block in a new GiB, but not for its record.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"

/* Not by stdio, which allocates. */
static size_t address_space(void)
{
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[128] = "";

	CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
	close(fd);
	return strtoul(text, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

int main(void)
{
	const size_t gib = (size_t)1 << 30;
	struct rlimit limit;
	size_t before;
	void *memory;
	int failures = 0;

	/* The kernel goes downwards: what is mapped after this comes below it. */
	CHECK(mmap(NULL, 2 * gib, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) !=
	      MAP_FAILED);
	before = address_space();
	limit.rlim_cur = limit.rlim_max = before + 3 * MIB / 2;
	CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
	for (int i = 0; i < 10; i++) {
		errno = 0;
		memory = malloc(MIB);
		CHECK(memory || errno == ENOMEM);
		failures += !memory;
		free(memory);
	}
	CHECK(failures > 0);
	/* Something may have been given back, even. */
	CHECK(address_space() <= before + 64 * KIB);
	return 0;
}
