/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a module exports: a shared object that the setting modules:NAME loads into a program, to
 * register callbacks there on behalf of a library which that program uses. examples/module is one
 * to begin with.
 *
 *     OOMRECLAIM_MODULE(argument)
 *     {
 *             return oomreclaim_register(...);
 *     }
 *
 * The body runs once, before main(), after the program's own libraries are in place. Before that it
 * runs in a child process, which then exits, to see whether it crashes: it must not change anything
 * outside the process. `argument` is what stands behind NAME= in the setting, "" where there is
 * none. It returns 0, or an errno value, and then the module is unloaded: it must not have
 * registered anything. A module that has returned 0 stays until the process ends.
 */
#ifndef OOMRECLAIM_MODULE_H
#define OOMRECLAIM_MODULE_H

#include <oomreclaim.h>

/* Changes where an old module can't work in a newer library, or the reverse. */
#define OOMRECLAIM_MODULE_ABI 1U

/* A name in a declaration takes no parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
#define OOMRECLAIM_MODULE(argument)                                                            \
	OOMRECLAIM_MODULE_C __attribute__((visibility("default")))                             \
	const unsigned oomreclaim_module_abi;                                                  \
	const unsigned oomreclaim_module_abi = OOMRECLAIM_MODULE_ABI;                          \
	OOMRECLAIM_MODULE_C __attribute__((visibility("default"))) int oomreclaim_module_init( \
		const char *argument);                                                         \
	int oomreclaim_module_init(const char *argument)
/* NOLINTEND(bugprone-macro-parentheses) */

#ifdef __cplusplus
#define OOMRECLAIM_MODULE_C extern "C"
#else
#define OOMRECLAIM_MODULE_C extern
#endif

#endif
