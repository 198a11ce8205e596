/* SPDX-License-Identifier: BSD-2-Clause */
#include "limits/pages.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "limits/budget.h"
#include "limits/fault.h"
#include "limits/group.h"
#include "limits/headroom.h"

/* Of this thread: what its last failure was due to, and whether it does without new mappings. */
static OOM_TLS enum pages_refusal refusal;
static OOM_TLS bool is_held;
/* Of this thread: the length that the system refused last, at which state of `unmaps`, and whether
   that would be so again. */
static OOM_TLS size_t refused_bytes, refused_at;
static OOM_TLS bool expects_refusal;

/* How often the heap has unmapped. Relaxed: what is unmapped at the same moment is not waited
   for. */
static atomic_size_t unmaps;

enum pages_refusal pages_last_refusal(void)
{
	return refusal;
}

bool pages_hold(bool hold)
{
	bool was = is_held;

	is_held = hold;
	return was;
}

bool pages_expect_refusal(bool expect)
{
	bool was = expects_refusal;

	expects_refusal = expect && refusal == PAGES_REFUSED_BY_SYSTEM;
	return was;
}

static size_t unmaps_now(void)
{
	return atomic_load_explicit(&unmaps, memory_order_relaxed);
}

static bool is_in_vain(size_t bytes)
{
	return is_held || (expects_refusal && bytes >= refused_bytes && refused_at == unmaps_now());
}

bool pages_charge(size_t bytes)
{
	if (likely(budget_charge(bytes)))
		return true;
	refusal = PAGES_REFUSED_BY_BUDGET;
	return false;
}

bool pages_charge_arena(unsigned arena, size_t bytes)
{
	if (unlikely(!group_charge(arena, bytes))) {
		refusal = PAGES_REFUSED_BY_GROUP;
		return false;
	}
	if (likely(pages_charge(bytes)))
		return true;
	group_cancel_charge(arena, bytes);
	return false;
}

void pages_commit_arena(unsigned arena, size_t bytes)
{
	group_commit_charge(arena, bytes);
	budget_commit_charge(bytes);
}

void pages_cancel_arena(unsigned arena, size_t bytes)
{
	group_cancel_charge(arena, bytes);
	budget_cancel_charge(bytes);
}

void pages_uncharge_arena(unsigned arena, size_t bytes)
{
	group_uncharge(arena, bytes);
	budget_uncharge(bytes);
}

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
	refusal = PAGES_REFUSED_BY_FAULT;
	injected = by;
	return true;
}

bool pages_dss_should_fail(size_t bytes)
{
	return should_fail(DSS, bytes);
}

/* A mapping of that size the kernel is asked for as libc asks: then it refuses one that is larger
   than the machine's memory and swap together (vm.overcommit_memory=0). jemalloc's MAP_NORESERVE
   waives that, and a program that looks for NULL would be killed as it writes. */
#define ACCOUNTED_BYTES ((size_t)1 << 30)

void *pages_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	int saved = errno;
	size_t before = unmaps_now();
	void *mapped;

	if (is_in_vain(length) || should_fail(MMAP, length))
		return MAP_FAILED;
	if (length >= ACCOUNTED_BYTES)
		flags &= ~MAP_NORESERVE;
	mapped = mmap(addr, length, prot, flags, fd, offset);
	if (mapped == MAP_FAILED) {
		refusal = PAGES_REFUSED_BY_SYSTEM;
		refused_bytes = length;
		refused_at = before;
	} else if ((flags & MAP_FIXED) == 0) {
		/* Else it lies over what the heap has. */
		headroom_mapped(length);
	}
	errno = saved;
	return mapped;
}

int pages_munmap(void *addr, size_t length)
{
	int saved = errno, result = munmap(addr, length);

	if (result == 0) {
		atomic_fetch_add_explicit(&unmaps, 1, memory_order_relaxed);
		headroom_unmapped(length);
	}
	errno = saved;
	return result;
}

/* Serves jemalloc's "dss", which it turns to when mmap() fails, or before that with dss:primary.
   The break only ever grows. */
void *pages_sbrk(intptr_t increment)
{
	int saved = errno;
	void *old;

	if (increment > 0 && is_held)
		return (void *)-1;
	old = sbrk(increment);
	if (increment > 0 && old != (void *)-1)
		headroom_mapped((size_t)increment);
	errno = saved;
	return old;
}

int pages_madvise(void *addr, size_t length, int advice)
{
	int saved = errno, result = madvise(addr, length, advice);

	errno = saved;
	return result;
}
