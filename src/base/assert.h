/* SPDX-License-Identifier: BSD-2-Clause */
/* Assertions: of the debug library alone. In the release library they are nothing. */
#ifndef OOM_ASSERT_H
#define OOM_ASSERT_H

#ifdef OOM_DEBUG
/* Say what is not so, and end the process: assertions of jemalloc (heap_glue.h), and of this
   library. */
__attribute__((noreturn)) void assert_heap_failed(const char *file, int line, const char *what);
__attribute__((noreturn)) void assert_own_failed(const char *file, int line, const char *what);
#define oom_assert(condition) \
	((condition) ? (void)0 : assert_own_failed(__FILE__, __LINE__, #condition))
#else
#define oom_assert(condition) ((void)0)
#endif

#endif
