/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Heap profiles name the program's functions: the library's own frames are left out of the stacks.
 * jeprof leaves out those of an allocator whose names it knows, and with everything in one file the
 * compiler has inlined, renamed or stripped them.
 */
#ifndef OOM_HEAP_PROF_H
#define OOM_HEAP_PROF_H

/* Before main(). Does nothing where profiling is off. */
void heap_prof_init(void);

#endif
