/* SPDX-License-Identifier: BSD-2-Clause */
#include "reclaim/scope.h"

/* Per thread, because a scope belongs to a call chain, as the kernel's task flags do. */
static OOM_TLS unsigned flags;

unsigned scope_current(void)
{
	return flags;
}

unsigned scope_exchange(unsigned to)
{
	unsigned old = flags;

	flags = to;
	return old;
}

OOM_EXPORT unsigned oomreclaim_scope_save(unsigned added)
{
	unsigned old = flags;

	flags |= added & SCOPE_ALL;
	return old;
}

OOM_EXPORT void oomreclaim_scope_restore(unsigned old)
{
	flags = old & SCOPE_ALL;
}
