/* SPDX-License-Identifier: BSD-2-Clause */
#include "pages.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "budget.h"

/* At its start jemalloc maps one page, to see what MADV_DONTNEED does, and goes on as if it had got
   it. Where there is not one page to be had it gets this one, and fails at its next mapping, which it
   looks at. */
#define SPARE_BYTES 4096
static _Alignas(SPARE_BYTES) char spare[SPARE_BYTES];
static atomic_flag has_mapped = ATOMIC_FLAG_INIT;

static void *lend_spare(size_t length)
{
	bool is_first = !atomic_flag_test_and_set_explicit(&has_mapped, memory_order_relaxed);

	return is_first && length == SPARE_BYTES ? spare : MAP_FAILED;
}

void *pages_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	int saved = errno;
	void *mapped;

	/* As a rlimit would. */
	if (!budget_charge(length))
		return lend_spare(length);
	mapped = mmap(addr, length, prot, flags, fd, offset);
	if (mapped == MAP_FAILED) {
		budget_uncharge(length);
		mapped = lend_spare(length);
	} else {
		atomic_flag_test_and_set_explicit(&has_mapped, memory_order_relaxed);
	}
	errno = saved;
	return mapped;
}

int pages_munmap(void *addr, size_t length)
{
	int saved = errno, result;

	if (addr == spare)
		return 0;
	result = munmap(addr, length);
	if (result == 0)
		budget_uncharge(length);
	errno = saved;
	return result;
}

/* What jemalloc turns to when mmap() fails. It only ever grows. */
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
