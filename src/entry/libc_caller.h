/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Places in libc and in the loader that end the process where malloc() says NULL, and of which no
 * program knows that they allocate:
 *
 *   the first pthread_exit() or pthread_cancel()   "libgcc_s.so.1 must be installed ..."
 *   the first use of a library's thread_local      "cannot allocate memory for thread-local data"
 *   a thread_local that has a destructor           "failed to register TLS destructor"
 *
 * The first two call malloc() and realloc() in the loader, the third calloc() in libc. What else
 * the loader does takes calloc() first, and can fail: dlopen() of a file that is not there yet, and
 * pthread_create().
 */
#ifndef OOM_LIBC_CALLER_H
#define OOM_LIBC_CALLER_H

#include <stdbool.h>

/* `caller`: where an allocation returns to; NULL: not known. is_zeroed: it is calloc()'s. No lock,
   no system call. */
bool libc_caller_ends_process(const void *caller, bool is_zeroed);

#endif
