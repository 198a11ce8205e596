/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C++'s operator new and delete, by their mangled names. A failure climbs the ladder to rung 7, then
 * asks the new_handler, as often as there is one; then comes the policy, and last bad_alloc.
 *
 * The C++ runtime is looked up when it is needed: a C program has none, and a plug-in may bring it
 * long after this library was loaded.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

#include "background.h"
#include "base.h"
#include "debug.h"
#include "heap_fast.h"
#include "interpose.h"
#include "io.h"
#include "ladder.h"

/* std::nothrow_t, an empty class whose objects only choose a function, and std::align_val_t. */
struct nothrow {
	char empty;
};
static const struct nothrow nothrow_object;
typedef size_t align_val;

typedef void new_handler(void);
typedef void *nothrow_new(size_t size, const struct nothrow *nothrow);
typedef void *aligned_nothrow_new(size_t size, align_val alignment, const struct nothrow *nothrow);

static void *runtime_symbol(void *where, const char *name)
{
	static const char *const runtimes[] = {"libstdc++.so.6", "libc++.so.1", "libc++abi.so.1"};
	void *symbol = dlsym(where, name), *runtime;

	for (size_t i = 0; symbol == NULL && i < ARRAY_SIZE(runtimes); i++) {
		/* Loaded with RTLD_LOCAL it is in nobody's default scope. */
		runtime = dlopen(runtimes[i], RTLD_LAZY | RTLD_NOLOAD);
		if (runtime == NULL)
			continue;
		symbol = dlsym(runtime, name);
		dlclose(runtime);
	}
	return symbol;
}

static new_handler *current_new_handler(void)
{
	new_handler *(*get_new_handler)(void);

	*(void **)&get_new_handler = runtime_symbol(RTLD_DEFAULT, "_ZSt15get_new_handlerv");
	return get_new_handler != NULL ? get_new_handler() : NULL;
}

static _Noreturn void throw_bad_alloc(void)
{
	/* libstdc++'s, then libc++'s. */
	static const char *const names[] = {"_ZSt17__throw_bad_allocv",
	                                    "_ZNSt3__117__throw_bad_allocEv"};
	void (*throw)(void);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		*(void **)&throw = runtime_symbol(RTLD_DEFAULT, names[i]);
		if (throw != NULL)
			throw();
	}
	io_warn("operator new failed, and there is no C++ runtime to throw std::bad_alloc");
	abort();
}

static OOM_COLD void *new_failed(size_t size, size_t alignment)
{
	const struct heap_request request = {.size = size, .alignment = alignment};
	struct oom_control control;
	int saved = errno;
	void *memory;

	for (;;) {
		new_handler *handler;

		ladder_begin(&control, &request);
		control.is_policy_deferred = true;
		memory = ladder_run(&control);
		if (memory != NULL)
			break;
		handler = current_new_handler();
		if (handler == NULL) {
			control.is_policy_deferred = false;
			memory = ladder_run(&control);
			break;
		}
		/* It makes room, throws, or ends the program. */
		handler();
		memory = heap_ops.alloc(&request);
		if (memory != NULL)
			break;
	}
	if (memory == NULL)
		throw_bad_alloc();
	errno = saved;
	return memory;
}

static OOM_NOINLINE void *new_slow_path(size_t size)
{
	void *memory = heap_malloc_slow(size);

	background_poll();
	return likely(memory != NULL) ? memory : new_failed(size, 0);
}

/* The runtime's own form calls the throwing one, which is ours, and catches what that throws: C
   can't. Without it, and so without anything to throw, the ladder is all there is. */
static OOM_COLD void *nothrow_failed(size_t size)
{
	const struct heap_request request = {.size = size};
	nothrow_new *runtime_new;

	*(void **)&runtime_new = runtime_symbol(RTLD_NEXT, "_ZnwmRKSt9nothrow_t");
	return runtime_new != NULL ? runtime_new(size, &nothrow_object) : ladder_climb(&request);
}

static OOM_NOINLINE void *nothrow_slow_path(size_t size)
{
	void *memory = heap_malloc_slow(size);

	background_poll();
	return likely(memory != NULL) ? memory : nothrow_failed(size);
}

static OOM_COLD void *aligned_nothrow_failed(size_t size, align_val alignment)
{
	const struct heap_request request = {.size = size, .alignment = alignment};
	aligned_nothrow_new *runtime_new;

	*(void **)&runtime_new = runtime_symbol(RTLD_NEXT, "_ZnwmSt11align_val_tRKSt9nothrow_t");
	return runtime_new != NULL ? runtime_new(size, alignment, &nothrow_object)
	                           : ladder_climb(&request);
}

#define CALLER __builtin_return_address(0)

/* Names a function as C++ does. */
#define MANGLED(name) __asm__(name) OOM_EXPORT

void *new_plain(size_t size) MANGLED("_Znwm");
void *new_array(size_t size) MANGLED("_Znam");
void *new_nothrow(size_t size, const struct nothrow *nothrow) MANGLED("_ZnwmRKSt9nothrow_t");
void *new_array_nothrow(size_t size, const struct nothrow *nothrow) MANGLED("_ZnamRKSt9nothrow_t");
void *new_aligned(size_t size, align_val alignment) MANGLED("_ZnwmSt11align_val_t");
void *new_array_aligned(size_t size, align_val alignment) MANGLED("_ZnamSt11align_val_t");
void *new_aligned_nothrow(size_t size, align_val alignment, const struct nothrow *nothrow)
	MANGLED("_ZnwmSt11align_val_tRKSt9nothrow_t");
void *new_array_aligned_nothrow(size_t size, align_val alignment, const struct nothrow *nothrow)
	MANGLED("_ZnamSt11align_val_tRKSt9nothrow_t");

void *new_plain(size_t size)
{
	if (debug_alloc(size, CALLER))
		throw_bad_alloc();
	return heap_malloc_fast(size, &new_slow_path);
}

void *new_array(size_t size)
{
	if (debug_alloc(size, CALLER))
		throw_bad_alloc();
	return heap_malloc_fast(size, &new_slow_path);
}

void *new_nothrow(size_t size, const struct nothrow *nothrow)
{
	(void)nothrow;
	if (debug_alloc(size, CALLER))
		return NULL;
	return heap_malloc_fast(size, &nothrow_slow_path);
}

void *new_array_nothrow(size_t size, const struct nothrow *nothrow)
{
	return new_nothrow(size, nothrow);
}

static OOM_NOINLINE void *aligned_slow_path(size_t size, align_val alignment)
{
	/* jemalloc takes a size of 0 for the smallest block, which is not aligned to more than that. */
	void *memory = heap_memalign(alignment, size > 0 ? size : 1);

	background_poll();
	return memory;
}

void *new_aligned(size_t size, align_val alignment)
{
	void *memory;

	if (debug_alloc(size, CALLER))
		throw_bad_alloc();
	memory = heap_cached_aligned(alignment, size);
	if (unlikely(memory == NULL))
		memory = aligned_slow_path(size, alignment);
	return likely(memory != NULL) ? memory : new_failed(size, alignment);
}

void *new_array_aligned(size_t size, align_val alignment)
{
	return new_aligned(size, alignment);
}

void *new_aligned_nothrow(size_t size, align_val alignment, const struct nothrow *nothrow)
{
	void *memory;

	(void)nothrow;
	if (debug_alloc(size, CALLER))
		return NULL;
	memory = heap_cached_aligned(alignment, size);
	if (unlikely(memory == NULL))
		memory = aligned_slow_path(size, alignment);
	return likely(memory != NULL) ? memory : aligned_nothrow_failed(size, alignment);
}

void *new_array_aligned_nothrow(size_t size, align_val alignment, const struct nothrow *nothrow)
{
	return new_aligned_nothrow(size, alignment, nothrow);
}

void delete_plain(void *memory) MANGLED("_ZdlPv");
void delete_array(void *memory) MANGLED("_ZdaPv");
void delete_nothrow(void *memory, const struct nothrow *nothrow) MANGLED("_ZdlPvRKSt9nothrow_t");
void delete_array_nothrow(void *memory, const struct nothrow *nothrow)
	MANGLED("_ZdaPvRKSt9nothrow_t");
void delete_sized(void *memory, size_t size) MANGLED("_ZdlPvm");
void delete_array_sized(void *memory, size_t size) MANGLED("_ZdaPvm");
void delete_aligned(void *memory, align_val alignment) MANGLED("_ZdlPvSt11align_val_t");
void delete_array_aligned(void *memory, align_val alignment) MANGLED("_ZdaPvSt11align_val_t");
void delete_aligned_nothrow(void *memory, align_val alignment, const struct nothrow *nothrow)
	MANGLED("_ZdlPvSt11align_val_tRKSt9nothrow_t");
void delete_array_aligned_nothrow(void *memory, align_val alignment, const struct nothrow *nothrow)
	MANGLED("_ZdaPvSt11align_val_tRKSt9nothrow_t");
void delete_sized_aligned(void *memory, size_t size, align_val alignment)
	MANGLED("_ZdlPvmSt11align_val_t");
void delete_array_sized_aligned(void *memory, size_t size, align_val alignment)
	MANGLED("_ZdaPvmSt11align_val_t");

__attribute__((flatten)) void delete_plain(void *memory)
{
	heap_free(memory);
}

__attribute__((flatten)) void delete_array(void *memory)
{
	heap_free(memory);
}

void delete_nothrow(void *memory, const struct nothrow *nothrow)
{
	(void)nothrow;
	heap_free(memory);
}

void delete_array_nothrow(void *memory, const struct nothrow *nothrow)
{
	(void)nothrow;
	heap_free(memory);
}

void delete_sized(void *memory, size_t size)
{
	if (likely(memory != NULL))
		heap_sized_free(memory, size);
}

void delete_array_sized(void *memory, size_t size)
{
	if (likely(memory != NULL))
		heap_sized_free(memory, size);
}

void delete_aligned(void *memory, align_val alignment)
{
	(void)alignment;
	heap_free(memory);
}

void delete_array_aligned(void *memory, align_val alignment)
{
	(void)alignment;
	heap_free(memory);
}

void delete_aligned_nothrow(void *memory, align_val alignment, const struct nothrow *nothrow)
{
	(void)alignment, (void)nothrow;
	heap_free(memory);
}

void delete_array_aligned_nothrow(void *memory, align_val alignment, const struct nothrow *nothrow)
{
	(void)alignment, (void)nothrow;
	heap_free(memory);
}

void delete_sized_aligned(void *memory, size_t size, align_val alignment)
{
	free_aligned_sized(memory, alignment, size);
}

void delete_array_sized_aligned(void *memory, size_t size, align_val alignment)
{
	free_aligned_sized(memory, alignment, size);
}
