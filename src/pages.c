/* SPDX-License-Identifier: BSD-2-Clause */
#include "pages.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "budget.h"
#include "fault.h"

/* jemalloc tries one after the other: where a fault is injected into the first, the second fails as
   well, or the failure would stop short of the ladder. */
static OOM_TLS enum { NEITHER, MMAP_FAILED, SBRK_FAILED } injected;

void *pages_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	int saved = errno;
	bool is_second = injected == SBRK_FAILED;
	void *mapped;

	injected = NEITHER;
	if (is_second)
		return MAP_FAILED;
	if (fault_should_fail(length)) {
		injected = MMAP_FAILED;
		return MAP_FAILED;
	}
	/* As a rlimit would. */
	if (!budget_charge(length))
		return MAP_FAILED;
	mapped = mmap(addr, length, prot, flags, fd, offset);
	if (mapped == MAP_FAILED)
		budget_uncharge(length);
	errno = saved;
	return mapped;
}

int pages_munmap(void *addr, size_t length)
{
	int saved = errno, result = munmap(addr, length);

	if (result == 0)
		budget_uncharge(length);
	errno = saved;
	return result;
}

static bool should_sbrk_fail(size_t increment)
{
	bool is_second = injected == MMAP_FAILED;

	injected = NEITHER;
	if (is_second)
		return true;
	if (!fault_should_fail(increment))
		return false;
	injected = SBRK_FAILED;
	return true;
}

/* What jemalloc turns to when mmap() fails, or with dss:primary before that. It only ever grows. */
void *pages_sbrk(intptr_t increment)
{
	int saved = errno;
	void *old;

	if (increment > 0 && should_sbrk_fail((size_t)increment))
		return (void *)-1;
	if (increment > 0 && !budget_charge((size_t)increment))
		return (void *)-1;
	old = sbrk(increment);
	if (old == (void *)-1 && increment > 0)
		budget_uncharge((size_t)increment);
	errno = saved;
	return old;
}

int pages_madvise(void *addr, size_t length, int advice)
{
	int saved = errno, result = madvise(addr, length, advice);

	errno = saved;
	return result;
}
