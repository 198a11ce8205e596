/* SPDX-License-Identifier: BSD-2-Clause */
#include "entry/libc_caller.h"

#include <link.h>
#include <stddef.h>
#include <stdint.h>

#include "entry/elf_object.h"

/* How far the loader's file reaches, by its own header: the loader maps that with its first page.
   0 in a static program. */
static uintptr_t loader_bytes(uintptr_t base)
{
	const ElfW(Ehdr) *file = (const ElfW(Ehdr) *)base;
	const ElfW(Phdr) * part;
	uintptr_t end = 0;

	if (base == 0)
		return 0;
	part = (const ElfW(Phdr) *)(base + file->e_phoff);
	for (size_t i = 0; i < file->e_phnum; i++)
		if (part[i].p_type == PT_LOAD && part[i].p_vaddr + part[i].p_memsz > end)
			end = part[i].p_vaddr + part[i].p_memsz;
	return end;
}

static bool is_in_loader(const void *caller)
{
	return (uintptr_t)caller - _r_debug.r_ldbase < loader_bytes(_r_debug.r_ldbase);
}

/* By libc's own table: what a program that was linked for a fixed place takes for the address of
   one of libc's functions is in the program. */
static bool is_in_atexit(const void *caller)
{
	struct elf_object object;

	return elf_object_at(caller, &object) &&
	       elf_object_is_in(&object, "__cxa_thread_atexit_impl", caller);
}

bool libc_caller_ends_process(const void *caller, bool is_zeroed)
{
	return is_zeroed ? is_in_atexit(caller) : is_in_loader(caller);
}
