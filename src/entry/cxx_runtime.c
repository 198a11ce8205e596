/* SPDX-License-Identifier: BSD-2-Clause */
#include "entry/cxx_runtime.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/io.h"

#define NEW_HANDLER "_ZSt15get_new_handlerv"

static const char *const runtimes[] = {"libstdc++.so.6", "libc++.so.1", "libc++abi.so.1"};

/* `name` in a runtime that is in the process, be it in nobody's default scope (RTLD_LOCAL); or NULL. */
static void *symbol_of_runtimes(const char *name)
{
	void *symbol = NULL, *runtime;

	for (size_t i = 0; symbol == NULL && i < ARRAY_SIZE(runtimes); i++) {
		runtime = dlopen(runtimes[i], RTLD_LAZY | RTLD_NOLOAD);
		if (runtime == NULL)
			continue;
		symbol = dlsym(runtime, name);
		dlclose(runtime);
	}
	return symbol;
}

static void *find(const char *name)
{
	void *symbol = dlsym(RTLD_DEFAULT, name);

	return symbol != NULL ? symbol : symbol_of_runtimes(name);
}

cxx_new_handler *cxx_runtime_new_handler(void)
{
	cxx_new_handler *(*get_new_handler)(void);

	*(void **)&get_new_handler = find(NEW_HANDLER);
	return get_new_handler != NULL ? get_new_handler() : NULL;
}

_Noreturn void cxx_runtime_throw_bad_alloc(void)
{
	/* libstdc++'s, then libc++'s. */
	static const char *const names[] = {"_ZSt17__throw_bad_allocv",
	                                    "_ZNSt3__117__throw_bad_allocEv"};
	void (*throw)(void);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		*(void **)&throw = find(names[i]);
		if (throw != NULL)
			throw();
	}
	io_warn("operator new failed, and there is no C++ runtime to throw std::bad_alloc");
	abort();
}

/* Written once, before main(), by the only thread there is. */
void *cxx_runtime_forms[CXX_FORMS];

static const char *const form_names[CXX_FORMS] = {
	[CXX_NEW_NOTHROW] = "_ZnwmRKSt9nothrow_t",
	[CXX_NEW_ARRAY_NOTHROW] = "_ZnamRKSt9nothrow_t",
	[CXX_NEW_ALIGNED_NOTHROW] = "_ZnwmSt11align_val_tRKSt9nothrow_t",
	[CXX_NEW_ARRAY_ALIGNED] = "_ZnamSt11align_val_t",
	[CXX_NEW_ARRAY_ALIGNED_NOTHROW] = "_ZnamSt11align_val_tRKSt9nothrow_t",
	[CXX_DELETE_NOTHROW] = "_ZdlPvRKSt9nothrow_t",
	[CXX_DELETE_ARRAY_NOTHROW] = "_ZdaPvRKSt9nothrow_t",
	[CXX_DELETE_SIZED] = "_ZdlPvm",
	[CXX_DELETE_ARRAY_SIZED] = "_ZdaPvm",
	[CXX_DELETE_ARRAY_ALIGNED] = "_ZdaPvSt11align_val_t",
	[CXX_DELETE_ALIGNED_NOTHROW] = "_ZdlPvSt11align_val_tRKSt9nothrow_t",
	[CXX_DELETE_ARRAY_ALIGNED_NOTHROW] = "_ZdaPvSt11align_val_tRKSt9nothrow_t",
	[CXX_DELETE_SIZED_ALIGNED] = "_ZdlPvmSt11align_val_t",
	[CXX_DELETE_ARRAY_SIZED_ALIGNED] = "_ZdaPvmSt11align_val_t",
};

/* Are both in the same object? */
static bool is_beside(const void *symbol, const void *other)
{
	Dl_info one, two;

	return dladdr(symbol, &one) != 0 && dladdr(other, &two) != 0 &&
	       one.dli_fbase == two.dli_fbase;
}

/* What comes next after this library may be one more allocator's, whose blocks are none of the heap's:
   the runtime is where the new_handler is kept. Finding it this way takes no memory. */
void *cxx_runtime_form(enum cxx_form form)
{
	void *symbol = dlsym(RTLD_NEXT, form_names[form]);

	if (symbol != NULL && is_beside(symbol, dlsym(RTLD_DEFAULT, NEW_HANDLER)))
		return symbol;
	return symbol_of_runtimes(form_names[form]);
}

void cxx_runtime_init(void)
{
	/* What the others are made of. */
	static const char *const roots[] = {"_Znwm",
	                                    "_ZdlPv",
	                                    "_Znam",
	                                    "_ZdaPv",
	                                    "_ZnwmSt11align_val_t",
	                                    "_ZdlPvSt11align_val_t"};
	bool is_replaced = false;

	for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
		const void *root = dlsym(RTLD_DEFAULT, roots[i]);

		/* What is linked in need not be visible to others. */
		is_replaced |= root != NULL && !is_beside(root, cxx_runtime_forms);
	}
	for (size_t i = 0; is_replaced && i < CXX_FORMS; i++)
		cxx_runtime_forms[i] = cxx_runtime_form((enum cxx_form)i);
}
