/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fault injection: mappings that fail although there is memory, as the kernel's fail_page_alloc
 * makes page allocations fail (Documentation/fault-injection). What makes an attribute count is the
 * kernel's should_fail_ex() of lib/fault-inject.c, in its order.
 */
#ifndef OOM_FAULT_H
#define OOM_FAULT_H

#include <stdatomic.h>

#include "base/base.h"
#include "oomreclaim.h"

/* One kind of fault. Member by member, since allocation goes on while they are set: relaxed. */
struct fault {
	atomic_bool is_armed; /* probability above 0: all that is looked at otherwise */
	_Atomic uint32_t probability;
	atomic_bool has_task_filter;
	_Atomic uint64_t interval;
	_Atomic int64_t times;  /* left; -1: without end */
	_Atomic uint64_t space; /* bytes left that don't fail */
	_Atomic uint64_t min_bytes;
	_Atomic uint64_t count; /* of those that interval counts */
	_Atomic uint64_t random_state;
	_Atomic uint64_t injected;
};

/* The caller has checked the attributes. */
void fault_arm(struct fault *fault, const struct oomreclaim_fault *attributes);

static inline bool fault_is_armed(const struct fault *fault)
{
	return unlikely(atomic_load_explicit(&fault->is_armed, memory_order_relaxed));
}

/* Whether what wants so many bytes shall fail; counts it. */
bool fault_strikes(struct fault *fault, size_t bytes);

/* ---- Of mappings: fail_page, oomreclaim_fault_set() ---- */

extern struct fault fault_page;

/* From options, before the first mapping. */
void fault_init(void);

bool fault_should_fail_slow(size_t bytes);

/* Whether this mapping shall fail. Called with the heap's locks held. */
static inline bool fault_should_fail(size_t bytes)
{
	return fault_is_armed(&fault_page) && fault_should_fail_slow(bytes);
}

#endif
