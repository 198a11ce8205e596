/* SPDX-License-Identifier: BSD-2-Clause */
/* What unwind.c reads: the bytes of .eh_frame, found by .eh_frame_hdr. The numbers are those of
   DWARF 5 (6.4, call frame information) and of the LSB. */
#ifndef OOM_UNWIND_TABLE_H
#define OOM_UNWIND_TABLE_H

#include "base/unwind.h"

/* Encodings of pointers: from where they count, and how they are written. */
#define PE_OMIT 0xff
#define PE_FORM 0x0f
#define PE_BASE 0x70
#define PE_PCREL 0x10
#define PE_UDATA4 0x03
#define PE_SDATA4 0x0b
#define PE_UDATA8 0x04
#define PE_SDATA8 0x0c
#define PE_INDIRECT 0x80

/* Bytes that are read one after the other. What is beyond the end is 0, and noted. */
struct cursor {
	const unsigned char *at, *end;
	bool is_bad;
};

/* The common part of a function's description. */
struct unwind_common {
	uint64_t code_align;
	int64_t data_align;
	uint8_t encoding;
	struct cursor program;
};

uint64_t unwind_take(struct cursor *cursor, size_t bytes);
uint64_t unwind_uleb(struct cursor *cursor);
int64_t unwind_sleb(struct cursor *cursor);
void unwind_skip(struct cursor *cursor, uint64_t bytes);
uint64_t unwind_pointer(struct cursor *cursor, uint8_t encoding);

/* The description of the last function that begins at or before `pc`, by the sorted table; NULL:
   none. */
const unsigned char *unwind_find(const struct unwind_file *file, uint64_t pc);

/* A record of .eh_frame, behind its length. */
bool unwind_open(const struct unwind_file *file, const unsigned char *record,
                 struct cursor *cursor);

/* What several functions have in common. False: it is not understood. */
bool unwind_common(const struct unwind_file *file, const unsigned char *record,
                   struct unwind_common *common);

#endif
