/* SPDX-License-Identifier: BSD-2-Clause */
/* A thread under a filter of system calls. */
#ifndef FILTER_H
#define FILTER_H

#include <stdbool.h>

/* Calls the function in a thread that may make the system calls that are named, NULL behind the
   last, and no other. Any other fails with EPERM; or, where it is to be told, ends the process with
   status 3 and its name on stderr. Ends the process with status 0 if the function returns, with 77
   if there are no filters. */
__attribute__((noreturn)) void filter_call(char **names, bool is_told,
                                           void *(*function)(void *arg));

#endif
