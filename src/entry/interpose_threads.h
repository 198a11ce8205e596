/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads that begin in the group in which they are made. */
#ifndef OOM_INTERPOSE_THREADS_H
#define OOM_INTERPOSE_THREADS_H

#include <stdbool.h>

/* Whether the program's pthread_create() is the library's. NULL in the static library, which has
   none. */
__attribute__((weak)) bool interpose_threads_is_reached(void);

#endif
