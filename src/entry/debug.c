/* SPDX-License-Identifier: BSD-2-Clause */
/* Only in the debug library. */
#include "entry/debug.h"

#include "config/options.h"
#include "entry/fail_malloc.h"
#include "heap/heap_freed.h"
#include "lockdep/lockdep.h"

void debug_init(void)
{
	locks_init();
	fail_malloc_init();
	lock_report_init();
	if (options.lock_check != LOCK_CHECK_OFF)
		heap_freed_init();
}
