/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stack above a call into the library, as files and offsets, from wherever memory has run out:
 * no allocation, no lock, no call of the loader that takes one, little stack.
 *
 * The stack is read by process_vm_readv(), since nobody says where it ends: what is not there is an
 * error, and no fault. Where a filter refuses that call, on another machine than x86_64, and where
 * glibc is older than 2.35, the caller alone is known.
 */
#ifndef OOM_STACK_H
#define OOM_STACK_H

#include <stddef.h>
#include <stdint.h>

#define STACK_FRAMES 24

struct stack_frame {
	const char *file; /* the loader's name for it, "" for the program; NULL: not known */
	uintptr_t offset; /* of the return address, in the file */
};

/* `caller` is where the library was called from, and the first frame. Returns how many there are; 0
   if the caller is not known. One thread at a time: another one gets the caller alone. */
unsigned stack_walk(const void *caller, struct stack_frame *frames, unsigned max);

/* A walk may have been under way in a thread of the parent's. */
void stack_fork_child(void);

#endif
