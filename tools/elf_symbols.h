/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions that a program's file names, where there is no better source. */
#ifndef ELF_SYMBOLS_H
#define ELF_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "name+0x12" for an address as the file has it. False where the file names no function there, or
   is none of this machine's word length. Whatever is in the file. */
bool elf_symbol_at(const char *path, uint64_t address, char *text, size_t bytes);

#endif
