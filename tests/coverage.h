/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Included by force in front of every source in script/coverage: what a child has counted is
 * written at exit(), which one that ends by _exit() never gets to. Reset, so that a parent whose
 * memory it shares counts on. The unit tests have a function in place of libc's:
 * tests/unit/support.c.
 */
#ifndef COVERAGE_H
#define COVERAGE_H

#ifndef COVERAGE
#include <stdlib.h>
#include <unistd.h>

void __gcov_dump(void);
void __gcov_reset(void);

#define _exit(status) (__gcov_dump(), __gcov_reset(), (_exit)(status))
#endif

#endif
