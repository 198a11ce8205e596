/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * By these the rest of the library tells the lock checker of callbacks, and of waits for callbacks.
 * In the release library they are nothing.
 */
#ifndef OOM_LOCKDEP_WATCH_H
#define OOM_LOCKDEP_WATCH_H

#include <stdbool.h>

#include "oomreclaim.h"

#ifdef OOM_DEBUG
/* The calling thread may come to wait for callbacks; for the end of a call of this callback. */
void lockdep_might_reclaim(void);
void lockdep_might_unregister(oomreclaim_handle handle);
void lockdep_unregistered(oomreclaim_handle handle);
/* The calling thread runs a callback. is_direct: threads that allocate wait for it. */
void lockdep_callback_begin(const char *name, oomreclaim_handle handle, bool is_direct);
void lockdep_callback_end(void);
/* Calls close(file), and forgets the locks that were in the closed file. */
int lockdep_close(int (*close)(void *file), void *file);
#else
#define lockdep_might_reclaim() ((void)0)
#define lockdep_might_unregister(handle) ((void)0)
#define lockdep_unregistered(handle) ((void)0)
#define lockdep_callback_begin(name, handle, is_direct) ((void)0)
#define lockdep_callback_end() ((void)0)
#define lockdep_close(close, file) (close)(file)
#endif

#endif
