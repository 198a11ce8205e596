/* SPDX-License-Identifier: BSD-2-Clause */
#include "pages.h"

#include <errno.h>
#include <sys/mman.h>

void *pages_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	int saved = errno;
	void *mapped = mmap(addr, length, prot, flags, fd, offset);

	errno = saved;
	return mapped;
}

int pages_munmap(void *addr, size_t length)
{
	int saved = errno, result = munmap(addr, length);

	errno = saved;
	return result;
}

int pages_madvise(void *addr, size_t length, int advice)
{
	int saved = errno, result = madvise(addr, length, advice);

	errno = saved;
	return result;
}
