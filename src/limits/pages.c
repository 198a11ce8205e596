/* SPDX-License-Identifier: BSD-2-Clause */
#include "limits/pages.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "limits/budget.h"
#include "limits/fault.h"

/* jemalloc tries one after the other: where a fault is injected into the first, the second fails as
   well, or the failure would stop short of the ladder. */
static OOM_TLS enum source { NEITHER, MMAP, DSS } injected;

static bool should_fail(enum source by, size_t bytes)
{
	bool is_second = injected != NEITHER && injected != by;

	injected = NEITHER;
	if (is_second)
		return true;
	if (!fault_should_fail(bytes))
		return false;
	injected = by;
	return true;
}

bool pages_dss_should_fail(size_t bytes)
{
	return should_fail(DSS, bytes);
}

void *pages_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	/* With vm.overcommit_memory=2 jemalloc maps what it has once more, to have the pages promised to
	   it or to give them up: that takes the place of what is charged already. */
	bool is_again = (flags & MAP_FIXED) != 0;
	int saved = errno;
	void *mapped;

	if (should_fail(MMAP, length))
		return MAP_FAILED;
	/* As a rlimit would. */
	if (!is_again && !budget_charge(length))
		return MAP_FAILED;
	mapped = mmap(addr, length, prot, flags, fd, offset);
	if (mapped == MAP_FAILED && !is_again)
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

/* What jemalloc turns to when mmap() fails, or with dss:primary before that: its "dss". It only ever
   grows. */
void *pages_sbrk(intptr_t increment)
{
	int saved = errno;
	void *old;

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
