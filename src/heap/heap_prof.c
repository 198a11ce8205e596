/* SPDX-License-Identifier: BSD-2-Clause */
#include "heap/heap_prof.h"

#include <string.h>
#include <sys/auxv.h>

#include "base/base.h"
#include "base/io.h"
#include "base/own_code.h"
#include "heap/heap_fast.h"

static prof_backtrace_hook_t jemallocs_own;

static void backtrace_of_program(void **stack, unsigned *length, unsigned max)
{
	unsigned own = 0;

	jemallocs_own(stack, length, max);
	while (own < *length && own_code_has(stack[own]))
		own++;
	/* On a thread of the library's. */
	if (own == *length)
		return;
	*length -= own;
	memmove(stack, stack + own, *length * sizeof stack[0]);
}

bool heap_prof_boot2(tsd_t *tsd, base_t *base)
{
	if (!prof_boot2(tsd, base))
		return false;
	if (!opt_prof)
		return true;
	/* jemalloc would leave its initialisation here, for good: the calls of this thread would
	   take it for done, and other threads would wait for it. */
	io_warn("no memory for heap profiles: going on without them");
	prof_active_set(tsd_tsdn(tsd), false);
	opt_prof = false;
	/* When this thread has its next sample is of no account any more. */
	tsd_te_init(tsd);
	return false;
}

void heap_prof_init(void)
{
	/* Linked statically the program's code can't be told from the library's. */
	if (!opt_prof || own_code_has((const void *)getauxval(AT_PHDR)))
		return;
	jemallocs_own = prof_backtrace_hook_get();
	prof_backtrace_hook_set(backtrace_of_program);
}
