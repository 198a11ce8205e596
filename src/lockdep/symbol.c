/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of addresses without dladdr(), which takes the loader's lock: a thread that has the
 * loader's lock may wait for a lock that the calling thread holds. _dl_find_object() takes no lock.
 * It tells which file an address is in, and the file's symbol table is in memory.
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>

#include "base/io.h"
#include "lockdep/lockdep.h"

struct symbols {
	const ElfW(Sym) * table;
	const char *names;
	size_t count;
};

/* The hash table has no count. The last symbol is the end of the chain that begins last. */
static size_t count_hashed(const uint32_t *hash)
{
	uint32_t buckets_count = hash[0], first = hash[1], last = 0;
	const uint32_t *buckets = hash + 4 + hash[2] * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
	const uint32_t *chains = buckets + buckets_count;

	for (uint32_t i = 0; i < buckets_count; i++)
		if (buckets[i] > last)
			last = buckets[i];
	if (last < first)
		return first;
	while ((chains[last - first] & 1) == 0)
		last++;
	return (size_t)last + 1;
}

static bool find_symbols(const struct link_map *map, struct symbols *symbols)
{
	*symbols = (struct symbols){.count = 0};
	for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
		uintptr_t at = entry->d_un.d_ptr;

		/* The addresses in the kernel's vDSO are not relocated. */
		if (at < map->l_addr)
			at += map->l_addr;
		if (entry->d_tag == DT_SYMTAB)
			symbols->table = (const ElfW(Sym) *)at;
		else if (entry->d_tag == DT_STRTAB)
			symbols->names = (const char *)at;
		else if (entry->d_tag == DT_GNU_HASH)
			symbols->count = count_hashed((const uint32_t *)at);
	}
	return symbols->table != NULL && symbols->names != NULL;
}

static bool is_within(const ElfW(Sym) * symbol, uintptr_t offset)
{
	unsigned type = ELF64_ST_TYPE(symbol->st_info);

	return symbol->st_shndx != SHN_UNDEF && (type == STT_FUNC || type == STT_OBJECT) &&
	       offset >= symbol->st_value && offset - symbol->st_value < symbol->st_size;
}

bool symbol_at(const void *address, struct symbol *symbol)
{
	struct dl_find_object found;
	struct symbols symbols;
	const struct link_map *map;

	if (_dl_find_object((void *)(uintptr_t)address, &found) != 0)
		return false;
	map = found.dlfo_link_map;
	symbol->file = map->l_name[0] != '\0' ? map->l_name : program_invocation_name;
	symbol->offset = (uintptr_t)address - map->l_addr;
	symbol->name = NULL;
	if (!find_symbols(map, &symbols))
		return true;
	for (size_t i = 0; i < symbols.count && symbol->name == NULL; i++)
		if (is_within(&symbols.table[i], symbol->offset))
			symbol->name = symbols.names + symbols.table[i].st_name;
	return true;
}

bool is_in_file(const void *address)
{
	struct dl_find_object found;

	return _dl_find_object((void *)(uintptr_t)address, &found) == 0;
}

void file_around(const void *address, const char **begin, const char **end)
{
	struct dl_find_object found;

	*begin = *end = NULL;
	if (_dl_find_object((void *)(uintptr_t)address, &found) != 0)
		return;
	*begin = found.dlfo_map_start;
	*end = found.dlfo_map_end;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

void place_put(struct io_buf *buf, const void *address)
{
	struct symbol symbol;

	if (!symbol_at(address, &symbol)) {
		io_printf(buf, "%p", address);
		return;
	}
	io_printf(buf, "%s(+0x%zx", base_name(symbol.file), (size_t)symbol.offset);
	io_printf(buf, symbol.name != NULL ? " %s)" : ")", symbol.name);
}

bool place_is_own(const void *address)
{
	struct symbol own, other;

	return symbol_at((const void *)(uintptr_t)place_is_own, &own) &&
	       symbol_at(address, &other) && own.file == other.file;
}
