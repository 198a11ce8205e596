/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What only liboomreclaim-debug.so does (docs/debugging.md). In the release library all of it is nothing.
 */
#ifndef OOM_DEBUG_H
#define OOM_DEBUG_H

#include "base/base.h"
#include "oomreclaim.h"

#ifdef OOM_DEBUG
/* By jemalloc (heap_glue.h), and by the library itself. */
__attribute__((noreturn)) void debug_assert_failed(const char *file, int line, const char *what);
__attribute__((noreturn)) void debug_own_assert_failed(const char *file, int line,
                                                       const char *what);
#define oom_assert(condition) \
	((condition) ? (void)0 : debug_own_assert_failed(__FILE__, __LINE__, #condition))

/* At every entry that allocates, before the heap is asked. True: it shall fail, and errno is ENOMEM. */
bool debug_alloc(size_t bytes, const void *caller);

/* Around a callback; what waits for the callbacks to end, or for that one. The policy's callback has
   CALL_OF_POLICY() for a handle. */
void debug_callback_begin(const char *name, oomreclaim_handle handle, bool is_direct);
void debug_callback_end(void);
void debug_wait_for_callbacks(void);
void debug_wait_for_unregister(oomreclaim_handle handle);
void debug_wait_for_policy(oomreclaim_handle handle);
/* A callback was registered; is no more. */
void debug_registered(oomreclaim_handle handle, unsigned flags);
void debug_unregistered(oomreclaim_handle handle);
void debug_init(void);
void debug_stop(void);
void debug_fork_child(void);
/* Calls dlclose(). */
int debug_close(int (*close)(void *file), void *file);
#else
#define oom_assert(condition) ((void)0)
#define debug_alloc(bytes, caller) false
#define debug_callback_begin(name, handle, is_direct) ((void)0)
#define debug_callback_end() ((void)0)
#define debug_wait_for_callbacks() ((void)0)
#define debug_wait_for_unregister(handle) ((void)0)
#define debug_wait_for_policy(handle) ((void)0)
#define debug_registered(handle, flags) ((void)0)
#define debug_unregistered(handle) ((void)0)
#define debug_init() ((void)0)
#define debug_stop() ((void)0)
#define debug_fork_child NULL
#define debug_close(close, file) (close)(file)
#endif

#endif
