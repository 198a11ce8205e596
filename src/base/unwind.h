/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One step up the stack, by a file's .eh_frame: what the compiler says of where a function has put
 * its caller's registers. libgcc's unwinder does more, takes a lock if a JIT has registered code,
 * ends the process where something is not as it expects, and reads where it was led to: for the
 * sake of a report no program may end. This one knows what compilers write (offsets from registers,
 * and one indirection for stacks that were aligned), stops at all else, and reads the stack by a
 * function that may say no.
 *
 * x86_64 alone. No allocation, no lock, no system call.
 */
#ifndef OOM_UNWIND_H
#define OOM_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* By DWARF's numbers: 3 is rbx, 6 rbp, 7 rsp, 12 to 15 themselves. */
#define UNWIND_REGISTERS 17
#define UNWIND_RSP 7
#define UNWIND_PC 16

struct unwind_registers {
	uint64_t value[UNWIND_REGISTERS];
	uint32_t known; /* a bit for each */
};

/* A file in memory, and its .eh_frame_hdr. */
struct unwind_file {
	const unsigned char *begin, *end;
	const unsigned char *header;
};

/* False: that word can't be read. */
typedef bool unwind_read(uint64_t address, uint64_t *word);

/* From a function's registers to its caller's. is_call: the pc is behind a call, as of all but the
   first. False where there is no more, or it is not understood; the registers are of no use then.
   One thread at a time: what it works with is static. */
bool unwind_step(struct unwind_registers *registers, const struct unwind_file *file, bool is_call,
                 unwind_read *read);

#endif
