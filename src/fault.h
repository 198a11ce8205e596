/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page-level fault injection: mappings that fail although there is memory, as the kernel's
 * fail_page_alloc makes page allocations fail (Documentation/fault-injection). What makes an attribute
 * count is the kernel's should_fail_ex() of lib/fault-inject.c, in its order.
 */
#ifndef OOM_FAULT_H
#define OOM_FAULT_H

#include <stdatomic.h>

#include "base.h"

extern atomic_bool fault_is_on;

/* From options, before the first mapping. */
void fault_init(void);

bool fault_should_fail_slow(size_t bytes);

/* Whether this mapping shall fail. Called with the heap's locks held. */
static inline bool fault_should_fail(size_t bytes)
{
	return unlikely(atomic_load_explicit(&fault_is_on, memory_order_relaxed)) &&
	       fault_should_fail_slow(bytes);
}

#endif
