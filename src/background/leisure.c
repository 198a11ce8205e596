/* SPDX-License-Identifier: BSD-2-Clause */
#include "background/leisure.h"

#include <stdint.h>

#include "base/base.h"
#include "heap/heap_ops.h"
#include "limits/budget.h"

/* A program that does nothing to its heap for so long is idle. */
#define IDLE_NS NSEC_PER_SEC

/* The thread's own: what was seen last, and when. */
static size_t charged, evictable;
static uint64_t looked_ns;

int leisure_due_ms(void)
{
	uint64_t passed = now_ns() - looked_ns;

	if (budget_above_low() == 0)
		return -1;
	return passed >= IDLE_NS ? 0 : (int)((IDLE_NS - passed) / NSEC_PER_MSEC) + 1;
}

void leisure_look(void)
{
	size_t charged_now = budget_charged(), evictable_now = heap_ops.evictable();

	if (evictable_now > 0 && charged_now == charged && evictable_now == evictable)
		heap_ops.purge(GROUP_KEEPS_NONE);
	charged = charged_now;
	evictable = evictable_now;
	looked_ns = now_ns();
}
