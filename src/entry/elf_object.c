/* SPDX-License-Identifier: BSD-2-Clause */
#include "entry/elf_object.h"

#include <dlfcn.h>
#include <elf.h>
#include <string.h>

#include "base/base.h"

enum { OF_DATA, OF_CALLS };

/* Most files have their addresses corrected by the loader, some (the kernel's own) do not. */
static uintptr_t address_of(const struct elf_object *object, const ElfW(Dyn) * entry)
{
	uintptr_t at = entry->d_un.d_ptr;

	return at >= object->begin && at < object->end ? at : object->base + at;
}

static void take(struct elf_object *object, const ElfW(Dyn) * entry)
{
	uintptr_t at = address_of(object, entry);

	switch (entry->d_tag) {
	case DT_SYMTAB:
		object->symbols = (const ElfW(Sym) *)at;
		break;
	case DT_STRTAB:
		object->names = (const char *)at;
		break;
	case DT_GNU_HASH:
		object->hash = (const uint32_t *)at;
		break;
	case DT_HASH:
		object->plain_hash = (const ElfW(Word) *)at;
		break;
	case DT_RELA:
		object->relocations[OF_DATA] = (const ElfW(Rela) *)at;
		break;
	case DT_RELASZ:
		object->relocation_counts[OF_DATA] = entry->d_un.d_val / sizeof(ElfW(Rela));
		break;
	case DT_JMPREL:
		object->relocations[OF_CALLS] = (const ElfW(Rela) *)at;
		break;
	case DT_PLTRELSZ:
		object->relocation_counts[OF_CALLS] = entry->d_un.d_val / sizeof(ElfW(Rela));
		break;
	}
}

#if __GLIBC_PREREQ(2, 35)
bool elf_object_at(const void *address, struct elf_object *object)
{
	struct dl_find_object found;

	if (_dl_find_object((void *)(uintptr_t)address, &found) != 0 ||
	    found.dlfo_link_map == NULL || found.dlfo_link_map->l_ld == NULL)
		return false;
	*object = (struct elf_object){
		.base = found.dlfo_link_map->l_addr,
		.begin = (uintptr_t)found.dlfo_map_start,
		.end = (uintptr_t)found.dlfo_map_end,
	};
	for (const ElfW(Dyn) *entry = found.dlfo_link_map->l_ld; entry->d_tag != DT_NULL; entry++)
		take(object, entry);
	return object->symbols != NULL && object->names != NULL;
}
#else
/* The loader has no other way than with its lock. */
bool elf_object_at(const void *address, struct elf_object *object)
{
	(void)address, (void)object;
	return false;
}
#endif

static const ElfW(Sym) * defined_as(const struct elf_object *object, size_t index, const char *name)
{
	const ElfW(Sym) *symbol = &object->symbols[index];

	if (symbol->st_shndx == SHN_UNDEF || strcmp(object->names + symbol->st_name, name) != 0)
		return NULL;
	return symbol;
}

/* As the format has it. */
static uint32_t hash_of(const char *name)
{
	uint32_t hash = 5381;

	for (; *name != '\0'; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

/* A count of buckets, the first symbol that is in one, the words of a filter, its shift; then the
   filter, the buckets, and for each symbol its hash, whose lowest bit ends a bucket. */
static const ElfW(Sym) * find_hashed(const struct elf_object *object, const char *name)
{
	const uint32_t *table = object->hash;
	const uint32_t buckets_count = table[0], first = table[1], hash = hash_of(name);
	const uint32_t *buckets = table + 4 + table[2] * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
	const uint32_t *hashes = buckets + buckets_count;
	uint32_t index = buckets_count > 0 ? buckets[hash % buckets_count] : 0;
	const ElfW(Sym) * symbol;

	if (index < first)
		return NULL;
	do {
		symbol = (hashes[index - first] | 1) == (hash | 1) ? defined_as(object, index, name)
		                                                   : NULL;
	} while (symbol == NULL && (hashes[index++ - first] & 1) == 0);
	return symbol;
}

static const ElfW(Sym) * find(const struct elf_object *object, const char *name)
{
	const ElfW(Sym) *symbol = NULL;

	if (object->hash != NULL)
		return find_hashed(object, name);
	/* Its second word is how many symbols there are. */
	for (size_t i = 1; object->plain_hash != NULL && symbol == NULL; i++) {
		if (i >= object->plain_hash[1])
			break;
		symbol = defined_as(object, i, name);
	}
	return symbol;
}

void *elf_object_symbol(const struct elf_object *object, const char *name)
{
	const ElfW(Sym) *symbol = find(object, name);

	return symbol != NULL ? (void *)(object->base + symbol->st_value) : NULL;
}

bool elf_object_is_in(const struct elf_object *object, const char *name, const void *address)
{
	const ElfW(Sym) *symbol = find(object, name);

	return symbol != NULL &&
	       (uintptr_t)address - (object->base + symbol->st_value) < symbol->st_size;
}

bool elf_object_binding(const struct elf_object *object, size_t *next, const void **target)
{
	const size_t data =
		object->relocations[OF_DATA] != NULL ? object->relocation_counts[OF_DATA] : 0;
	const size_t calls =
		object->relocations[OF_CALLS] != NULL ? object->relocation_counts[OF_CALLS] : 0;

	while (*next < data + calls) {
		size_t i = (*next)++;
		const ElfW(Rela) *relocation = i < data ? &object->relocations[OF_DATA][i]
		                                        : &object->relocations[OF_CALLS][i - data];

		if (ELF64_R_SYM(relocation->r_info) == 0)
			continue;
		memcpy(target, (const void *)(object->base + relocation->r_offset), sizeof *target);
		return true;
	}
	return false;
}
