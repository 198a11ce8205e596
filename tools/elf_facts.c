/* SPDX-License-Identifier: BSD-2-Clause */
#include "elf_facts.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

#if __SIZEOF_POINTER__ == 8
#define NATIVE_CLASS ELFCLASS64
#else
#define NATIVE_CLASS ELFCLASS32
#endif

struct image {
	const unsigned char *bytes;
	size_t size;
};

/* What is at `offset`, or NULL if it is not all within the file. Tables are read where they lie:
   they are aligned in every file that runs, and in one that does not it is no loss. */
static const void *at(const struct image *image, uint64_t offset, uint64_t size)
{
	if (offset > image->size || size > image->size - offset || offset % sizeof(void *) != 0)
		return NULL;
	return image->bytes + offset;
}

/* A string of a string table; "" if it does not end within the file. */
static const char *string_at(const struct image *image, uint64_t offset)
{
	if (offset >= image->size ||
	    memchr(image->bytes + offset, '\0', image->size - offset) == NULL)
		return "";
	return (const char *)image->bytes + offset;
}

static void copy_name(char name[ELF_NAME_MAX], const char *from)
{
	strncpy(name, from, ELF_NAME_MAX - 1);
	name[ELF_NAME_MAX - 1] = '\0';
	tool_clean(name);
}

static void take_needed(const struct image *image, const ElfW(Shdr) * section,
                        const ElfW(Shdr) * strings, struct elf_facts *facts)
{
	const ElfW(Dyn) *entry = at(image, section->sh_offset, section->sh_size);

	if (entry == NULL)
		return;
	for (size_t i = 0; i < section->sh_size / sizeof *entry; i++) {
		if (entry[i].d_tag == DT_NULL)
			break;
		if (entry[i].d_tag == DT_NEEDED && facts->needed_count < ELF_NEEDED_MAX)
			copy_name(facts->needed[facts->needed_count++],
			          string_at(image, strings->sh_offset + entry[i].d_un.d_val));
	}
}

static void take_symbol(const char *name, bool is_defined, struct elf_facts *facts)
{
	static const char *const allocating[] = {"malloc", "calloc", "realloc", "_Znwm", "_Znam"};

	if (is_defined) {
		facts->defines_malloc |= strcmp(name, "malloc") == 0;
		return;
	}
	facts->imports_oomreclaim |= strcmp(name, "oomreclaim_register") == 0;
	facts->imports_dlopen |= strcmp(name, "dlopen") == 0 || strcmp(name, "dlmopen") == 0;
	for (size_t i = 0; i < COUNT(allocating); i++)
		facts->imports_malloc |= strcmp(name, allocating[i]) == 0;
}

static void take_symbols(const struct image *image, const ElfW(Shdr) * section,
                         const ElfW(Shdr) * strings, bool is_fixed, struct elf_facts *facts)
{
	const ElfW(Sym) *symbol = at(image, section->sh_offset, section->sh_size);
	bool is_asked_for = false, is_optional = false;

	if (symbol == NULL)
		return;
	facts->has_symbols = true;
	for (size_t i = 0; i < section->sh_size / sizeof *symbol; i++) {
		const char *name = string_at(image, strings->sh_offset + symbol[i].st_name);

		take_symbol(name, symbol[i].st_shndx != SHN_UNDEF, facts);
		is_asked_for |= strcmp(name, "oomreclaim_version") == 0;
		is_optional |= strcmp(name, "oomreclaim_register") == 0 &&
		               symbol[i].st_info >> 4 == STB_WEAK;
	}
	/* In a program that has a fixed address the linker has answered already: there is none. */
	facts->misses_oomreclaim = is_fixed && is_optional && !is_asked_for;
}

static void take_sections(const struct image *image, const ElfW(Ehdr) * header,
                          struct elf_facts *facts)
{
	const ElfW(Shdr) *section =
		at(image, header->e_shoff, (uint64_t)header->e_shnum * sizeof *section);

	if (section == NULL)
		return;
	for (size_t i = 0; i < header->e_shnum; i++) {
		const ElfW(Shdr) *strings = &section[section[i].sh_link];

		if (header->e_shstrndx < header->e_shnum &&
		    strncmp(string_at(image,
		                      section[header->e_shstrndx].sh_offset + section[i].sh_name),
		            ".go.buildinfo", strlen(".go.buildinfo")) == 0)
			facts->is_go = true;
		if (section[i].sh_link >= header->e_shnum)
			continue;
		if (section[i].sh_type == SHT_DYNAMIC)
			take_needed(image, &section[i], strings, facts);
		else if (section[i].sh_type == SHT_DYNSYM)
			take_symbols(image, &section[i], strings, header->e_type == ET_EXEC, facts);
	}
}

static void take_segments(const struct image *image, const ElfW(Ehdr) * header,
                          struct elf_facts *facts)
{
	const ElfW(Phdr) *segment =
		at(image, header->e_phoff, (uint64_t)header->e_phnum * sizeof *segment);

	for (size_t i = 0; segment != NULL && i < header->e_phnum; i++) {
		if (segment[i].p_type == PT_INTERP)
			copy_name(facts->interpreter, string_at(image, segment[i].p_offset));
	}
}

#if defined(__x86_64__)
#define NATIVE_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define NATIVE_MACHINE EM_AARCH64
#elif defined(__riscv)
#define NATIVE_MACHINE EM_RISCV
#elif defined(__powerpc64__)
#define NATIVE_MACHINE EM_PPC64
#elif defined(__s390x__)
#define NATIVE_MACHINE EM_S390
#else
#error "which machine is this?"
#endif

static void take(const struct image *image, struct elf_facts *facts)
{
	const ElfW(Ehdr) *header = at(image, 0, sizeof *header);

	facts->is_elf = image->size >= SELFMAG && memcmp(image->bytes, ELFMAG, SELFMAG) == 0;
	if (!facts->is_elf || header == NULL)
		return;
	facts->is_native =
		header->e_ident[EI_CLASS] == NATIVE_CLASS && header->e_machine == NATIVE_MACHINE;
	if (!facts->is_native)
		return;
	take_segments(image, header, facts);
	take_sections(image, header, facts);
}

int elf_facts_read(const char *path, struct elf_facts *facts)
{
	struct image image;
	struct stat status;
	void *mapped;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), error = 0;

	memset(facts, 0, sizeof *facts);
	if (fd < 0)
		return errno;
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) {
		close(fd);
		return 0;
	}
	image.size = (size_t)status.st_size;
	mapped = mmap(NULL, image.size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (mapped == MAP_FAILED) {
		error = errno;
	} else {
		image.bytes = mapped;
		take(&image, facts);
		munmap(mapped, image.size);
	}
	close(fd);
	return error;
}
