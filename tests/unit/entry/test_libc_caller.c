/* SPDX-License-Identifier: BSD-2-Clause */
/* Which callers end the process where they get NULL, by real ones. */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "entry/libc_caller.h"
#include "support.h"

TestSuite(libc_caller, .init = support_init, .timeout = WATCHDOG_SECONDS);

static bool ends_process(uintptr_t at)
{
	return libc_caller_ends_process((const void *)at, false);
}

static bool ends_process_zeroed(uintptr_t at)
{
	return libc_caller_ends_process((const void *)at, true);
}

/* Where the loader's file begins and ends. */
static int find_loader(struct dl_phdr_info *info, size_t bytes, void *arg)
{
	uintptr_t *range = arg;

	(void)bytes;
	if (info->dlpi_addr != _r_debug.r_ldbase)
		return 0;
	range[0] = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD)
			range[1] = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr +
			           info->dlpi_phdr[i].p_memsz;
	return 1;
}

Test(libc_caller, the_loader)
{
	uintptr_t range[2] = {0};

	cr_assert_eq(dl_iterate_phdr(find_loader, range), 1);
	cr_expect(ends_process(range[0]));
	cr_expect(ends_process(range[0] + (range[1] - range[0]) / 2));
	cr_expect(ends_process(range[1] - 1));
	cr_expect_not(ends_process(range[0] - 1));
	cr_expect_not(ends_process(range[1]));
}

/* By the loader, as the test may have an address of its own for one of libc's functions. */
Test(libc_caller, what_registers_destructors)
{
	const uintptr_t function = (uintptr_t)dlsym(RTLD_NEXT, "__cxa_thread_atexit_impl");
	const ElfW(Sym) * symbol;
	Dl_info info;

	cr_assert_neq(function, 0);
	cr_assert(dladdr1((void *)function, &info, (void **)&symbol, RTLD_DL_SYMENT));
	cr_expect(ends_process_zeroed(function + 1));
	cr_expect(ends_process_zeroed(function + symbol->st_size - 1));
	cr_expect_not(ends_process_zeroed(function - 1));
	cr_expect_not(ends_process_zeroed(function + symbol->st_size));
	cr_expect_not(ends_process(function + 1), "it takes calloc()");
}

/* What the loader takes calloc() for can fail. */
Test(libc_caller, nobody_else)
{
	cr_expect_not(ends_process_zeroed(_r_debug.r_ldbase + 1));
	for (int is_zeroed = 0; is_zeroed < 2; is_zeroed++) {
		cr_expect_not(libc_caller_ends_process(NULL, is_zeroed));
		cr_expect_not(libc_caller_ends_process((void *)&ends_process, is_zeroed));
		cr_expect_not(libc_caller_ends_process((void *)&malloc, is_zeroed));
		cr_expect_not(libc_caller_ends_process((void *)&strdup, is_zeroed));
	}
}
