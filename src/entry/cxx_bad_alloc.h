/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * std::bad_alloc as libstdc++ has it, made by hand. A program into which parts of libstdc++ are
 * linked need not have that class, nor let anybody see how it throws; a handler knows the class by
 * its name all the same.
 */
#ifndef OOM_CXX_BAD_ALLOC_H
#define OOM_CXX_BAD_ALLOC_H

/* The class, to throw by, and what the first word of each object points to. */
void *cxx_bad_alloc_type(void);
void *cxx_bad_alloc_table(void);

/* Throws one without a runtime. Comes back only where nobody catches it. */
void cxx_bad_alloc_raise(void);

#endif
