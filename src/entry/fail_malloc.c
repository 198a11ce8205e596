/* SPDX-License-Identifier: BSD-2-Clause */
/* Only in the debug library. */
#include "entry/fail_malloc.h"

#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "base/io.h"
#include "config/options.h"
#include "config/verbose.h"
#include "entry/libc_caller.h"
#include "heap/heap_ops.h"
#include "limits/fault.h"
#include "lockdep/lockdep.h"
#include "lockdep/watch.h"
#include "reclaim/descent.h"
#include "reclaim/scope.h"

static struct fault fault_malloc;

void fail_malloc_init(void)
{
	fault_arm(&fault_malloc, &options.fail_malloc);
}

/* The settings ask for this caller, by a part of its function's or its file's name. By no name they
   do not ask for the end of the process. */
static bool is_chosen(const void *caller)
{
	const char *wanted = options.fail_malloc_caller;
	struct symbol symbol;

	if (wanted[0] == '\0')
		return !libc_caller_ends_process(caller, false) &&
		       !libc_caller_ends_process(caller, true);
	if (!symbol_at(caller, &symbol))
		return false;
	return (symbol.name != NULL && strcmp(symbol.name, wanted) == 0) ||
	       strstr(symbol.file, wanted) != NULL;
}

bool fail_malloc_strikes(size_t bytes, const void *caller)
{
	unsigned scope = scope_current();

	if (descent_is_open())
		return false;
	/* For the impossible nobody is asked. */
	if ((scope & (OOMRECLAIM_SCOPE_NORECLAIM | OOMRECLAIM_SCOPE_NORETRY)) == 0 &&
	    bytes <= heap_ops.max_bytes)
		lockdep_might_reclaim();
	if ((scope & OOMRECLAIM_SCOPE_NOFAIL) != 0 || !fault_is_armed(&fault_malloc) ||
	    !is_chosen(caller) || !fault_strikes(&fault_malloc, bytes))
		return false;
	if (verbose_is_on())
		io_warn("injected: an allocation of %zu bytes fails", bytes);
	errno = ENOMEM;
	return true;
}
