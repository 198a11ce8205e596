/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stack, as glibc's backtrace() has it, by libgcc's unwinder and no other. A program that is
 * linked with libunwind has another backtrace(), which takes locks, and so would call the lock
 * checker, which calls it. And glibc's own opens libgcc at its first call, which allocates: in the
 * program's malloc(), under the lock that was just being noted.
 */
#ifndef OOM_FRAMES_H
#define OOM_FRAMES_H

/* Before main(). Returns a place in the unwinder's code, or NULL where there is none. */
const void *frames_init(void);

/* The return addresses from the caller's own place on, up to so many; returns how many. 0 before
   frames_init(). Takes no lock, but for libgcc's where a JIT compiler has registered code. */
int frames_take(void **frames, int count);

#endif
