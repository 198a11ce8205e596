/* SPDX-License-Identifier: BSD-2-Clause */
/* A figure that several threads, or processes, raise: the highest of what they say stays. */
#ifndef OOM_RAISE_H
#define OOM_RAISE_H

#include <stdatomic.h>
#include <stdint.h>

static inline void raise_to(_Atomic uint64_t *value, uint64_t to)
{
	uint64_t now = atomic_load(value);

	/* Another thread's may be higher by now. */
	while (now < to && !atomic_compare_exchange_weak(value, &now, to))
		;
}

#endif
