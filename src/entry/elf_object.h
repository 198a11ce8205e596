/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file that the loader has mapped, and its symbols, without the loader's lock: dlsym() and
 * dl_iterate_phdr() take that lock, and its holder may be waiting for the calling thread. For files
 * that can't be unloaded meanwhile: the calling thread is in a function of the file, or in one of a
 * file that needs it.
 */
#ifndef OOM_ELF_OBJECT_H
#define OOM_ELF_OBJECT_H

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_object {
	uintptr_t base;       /* what its own addresses count from */
	uintptr_t begin, end; /* where it is mapped */
	const ElfW(Sym) * symbols;
	const char *names;
	const uint32_t *hash;          /* DT_GNU_HASH */
	const ElfW(Word) * plain_hash; /* DT_HASH; each of the two may be NULL */
	const ElfW(Rela) * relocations[2];
	size_t relocation_counts[2];
};

/* The file that `address` is in; false if there is none, or nothing is known of it. */
bool elf_object_at(const void *address, struct elf_object *object);

/* Where the file itself has a symbol of that name, or NULL. */
void *elf_object_symbol(const struct elf_object *object, const char *name);

/* True where the file itself has a function of that name, and the address is in it. */
bool elf_object_is_in(const struct elf_object *object, const char *name, const void *address);

/* What the loader has put in the place of a symbol that the file needs or exports, one by one:
   `*next` is 0 at first. False: there is no more. */
bool elf_object_binding(const struct elf_object *object, size_t *next, const void **target);

#endif
