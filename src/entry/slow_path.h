/* SPDX-License-Identifier: BSD-2-Clause */
/* What is due where malloc() has left its fast path: this call holds no lock of the heap. One that
   jemalloc made itself may have been made under a lock: each of them looks. */
#ifndef OOM_SLOW_PATH_H
#define OOM_SLOW_PATH_H

#include "background/background.h"
#include "reclaim/high.h"

static inline void slow_path_end(void)
{
	background_start_if_wanted();
	high_reclaim_if_due();
}

#endif
