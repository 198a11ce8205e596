/* SPDX-License-Identifier: BSD-2-Clause */
#include "elf_symbols.h"

#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

struct image {
	const unsigned char *bytes;
	size_t size;
};

/* So many of these at that place, or NULL. */
static const void *part(const struct image *image, uint64_t offset, uint64_t size, uint64_t align)
{
	if (offset > image->size || size > image->size - offset || offset % align != 0)
		return NULL;
	return image->bytes + offset;
}

static const ElfW(Shdr) * section(const struct image *image, const ElfW(Ehdr) * head, size_t index)
{
	const ElfW(Shdr) *sections =
		part(image, head->e_shoff, (uint64_t)head->e_shnum * sizeof *sections,
	             _Alignof(ElfW(Shdr)));

	return sections != NULL && index < head->e_shnum ? &sections[index] : NULL;
}

/* The table of all symbols, else that of the exported ones. */
static const ElfW(Shdr) * find_table(const struct image *image, const ElfW(Ehdr) * head)
{
	const ElfW(Shdr) *found = NULL, *one;

	for (size_t i = 0; (one = section(image, head, i)) != NULL; i++)
		if (one->sh_type == SHT_SYMTAB || (one->sh_type == SHT_DYNSYM && found == NULL))
			found = one;
	return found;
}

static bool is_at(const ElfW(Sym) * symbol, uint64_t address)
{
	return ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && symbol->st_shndx != SHN_UNDEF &&
	       address >= symbol->st_value && address - symbol->st_value < symbol->st_size;
}

static bool find_in(const struct image *image, uint64_t address, char *text, size_t bytes)
{
	const ElfW(Ehdr) *head = part(image, 0, sizeof *head, 1);
	const ElfW(Shdr) * table, *names;
	const ElfW(Sym) * symbols;
	const char *name;

	if (head == NULL || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
	    head->e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) ||
	    head->e_shentsize != sizeof *table || (table = find_table(image, head)) == NULL ||
	    (names = section(image, head, table->sh_link)) == NULL)
		return false;
	symbols = part(image, table->sh_offset, table->sh_size, _Alignof(ElfW(Sym)));
	name = part(image, names->sh_offset, names->sh_size, 1);
	for (size_t i = 0; symbols != NULL && name != NULL && i < table->sh_size / sizeof *symbols;
	     i++) {
		uint64_t at = symbols[i].st_name;

		if (!is_at(&symbols[i], address) || at >= names->sh_size)
			continue;
		snprintf(text, bytes, "%.*s+0x%" PRIx64,
		         (int)strnlen(name + at, names->sh_size - at), name + at,
		         address - symbols[i].st_value);
		tool_clean(text);
		return true;
	}
	return false;
}

bool elf_symbol_at(const char *path, uint64_t address, char *text, size_t bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct image image = {.bytes = MAP_FAILED};
	struct stat file;
	bool is_found = false;

	if (fd >= 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_size > 0) {
		image.size = (size_t)file.st_size;
		image.bytes = mmap(NULL, image.size, PROT_READ, MAP_PRIVATE, fd, 0);
	}
	if (image.bytes != MAP_FAILED) {
		is_found = find_in(&image, address, text, bytes);
		munmap((void *)(uintptr_t)image.bytes, image.size);
	}
	if (fd >= 0)
		close(fd);
	return is_found;
}
