/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The C++ runtime that a failing operator new has to do with. A C program has none; a plug-in may
 * bring it long after this library was loaded, or have one of its own inside. Nothing here takes a
 * lock of the loader or memory, but that what is thrown takes some.
 */
#ifndef OOM_CXX_RUNTIME_H
#define OOM_CXX_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>

typedef void cxx_new_handler(void);

/* NULL: the program has set none. */
cxx_new_handler *cxx_runtime_new_handler(void);

_Noreturn void cxx_runtime_throw_bad_alloc(void);

/* Calls it, and says whether it came back: false if it threw something, which is gone then. */
bool cxx_runtime_try(void (*function)(void *arg), void *arg);

#endif
