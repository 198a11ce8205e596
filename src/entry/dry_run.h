/* SPDX-License-Identifier: BSD-2-Clause */
/* The setting dry_run: each callback is called once when it is registered, before memory is short.
   Only in the debug library; in the release library it is nothing. */
#ifndef OOM_DRY_RUN_H
#define OOM_DRY_RUN_H

#include "oomreclaim.h"

#ifdef OOM_DEBUG
/* A callback was registered. */
void dry_run_begin(oomreclaim_handle handle, unsigned flags);
/* At the end of the process: what has begun gets a moment to end. */
void dry_run_stop(void);
void dry_run_fork_child(void);
#else
#define dry_run_begin(handle, flags) ((void)0)
#define dry_run_stop() ((void)0)
#define dry_run_fork_child NULL
#endif

#endif
