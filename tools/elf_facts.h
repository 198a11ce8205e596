/* SPDX-License-Identifier: BSD-2-Clause */
/* What a program's file says about the malloc it will have. */
#ifndef ELF_FACTS_H
#define ELF_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#define ELF_NEEDED_MAX 64
#define ELF_NAME_MAX 128

struct elf_facts {
	bool is_elf;
	bool is_native;          /* of this machine and this word length */
	bool has_symbols;        /* else the next ones are not known */
	bool defines_malloc;     /* and exports it: it comes before any library's */
	bool imports_malloc;     /* or calloc, realloc, operator new */
	bool imports_oomreclaim; /* it registers callbacks */
	bool misses_oomreclaim;  /* and asks for the library in a way that never finds it */
	bool imports_dlopen;
	bool is_go;
	char interpreter[ELF_NAME_MAX]; /* the dynamic linker; "" if none */
	char needed[ELF_NEEDED_MAX][ELF_NAME_MAX];
	unsigned needed_count;
};

/* 0 or errno. A file that is not ELF is no error; one that is cut off or contradicts itself is
   taken as far as it goes. */
int elf_facts_read(const char *path, struct elf_facts *facts);

#endif
