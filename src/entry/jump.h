/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A call at the end of a function as a jump: what is called sees the caller of the function, and
 * the function has no frame meanwhile. JUMPS stands in front of the function, JUMP in place of
 * `return`.
 */
#ifndef OOM_JUMP_H
#define OOM_JUMP_H

#if defined(__has_attribute)
#if __has_attribute(musttail)
#define JUMP __attribute__((musttail)) return
#endif
#endif
#ifdef JUMP
#define JUMPS
#else
/* Whatever the file is compiled with: unoptimised or counting, gcc would call. */
#define JUMPS __attribute__((optimize("O2"), no_profile_instrument_function))
#define JUMP return
#endif

#endif
