/* SPDX-License-Identifier: BSD-2-Clause */
/* What the calling thread asked of the ladder: the kernel's memalloc_noreclaim_save() and its
   kind. */
#ifndef OOM_SCOPE_H
#define OOM_SCOPE_H

#include "base/base.h"
#include "oomreclaim.h"

#define SCOPE_ALL                                                                              \
	(OOMRECLAIM_SCOPE_NORETRY | OOMRECLAIM_SCOPE_RETRY_MAYFAIL | OOMRECLAIM_SCOPE_NOFAIL | \
	 OOMRECLAIM_SCOPE_NORECLAIM | OOMRECLAIM_SCOPE_RESERVE)

/* The calling thread's flags. */
unsigned scope_current(void);

/* Sets them, and returns what they were. */
unsigned scope_exchange(unsigned to);

#endif
