/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C++'s operator new and delete, by their mangled names. A failure climbs the ladder to rung 7, then
 * asks the new_handler, as often as there is one; then comes the policy, and last bad_alloc.
 *
 * Where the program has replaced some of these the forms that are made of others are left to the
 * runtime, which makes them of the program's own: a block from there would be none of the heap's.
 */
#include <errno.h>

#include "background/background.h"
#include "base/base.h"
#include "entry/cxx_runtime.h"
#include "entry/interpose.h"
#include "heap/heap_fast.h"
#include "ladder/ladder.h"
#include "lockdep/debug.h"

/* std::nothrow_t, an empty class whose objects only choose a function, and std::align_val_t. */
struct nothrow {
	char empty;
};
static const struct nothrow nothrow_object;
typedef size_t align_val;

typedef void *nothrow_new(size_t size, const struct nothrow *nothrow);
typedef void *aligned_new(size_t size, align_val alignment);
typedef void *aligned_nothrow_new(size_t size, align_val alignment, const struct nothrow *nothrow);
typedef void nothrow_delete(void *memory, const struct nothrow *nothrow);
typedef void sized_delete(void *memory, size_t size);
typedef void aligned_delete(void *memory, align_val alignment);
typedef void aligned_nothrow_delete(void *memory, align_val alignment,
                                    const struct nothrow *nothrow);
typedef void sized_aligned_delete(void *memory, size_t size, align_val alignment);

/* The runtime's own, as a pointer to a function of that type; see cxx_runtime_forms. */
#define IS_LEFT(form) unlikely(cxx_runtime_forms[form] != NULL)
#define LEFT(type, form) ((type *)cxx_runtime_forms[form])

static OOM_COLD void *new_failed(size_t size, size_t alignment)
{
	const struct heap_request request = {.size = size, .alignment = alignment};
	struct oom_control control;
	int saved = errno;
	void *memory;

	for (;;) {
		cxx_new_handler *handler;

		ladder_begin(&control, &request);
		control.is_policy_deferred = true;
		memory = ladder_run(&control);
		if (memory != NULL)
			break;
		handler = cxx_runtime_new_handler();
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
		cxx_runtime_throw_bad_alloc();
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

	*(void **)&runtime_new = cxx_runtime_form(CXX_NEW_NOTHROW);
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

	*(void **)&runtime_new = cxx_runtime_form(CXX_NEW_ALIGNED_NOTHROW);
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
		cxx_runtime_throw_bad_alloc();
	return heap_malloc_fast(size, &new_slow_path);
}

void *new_array(size_t size)
{
	if (debug_alloc(size, CALLER))
		cxx_runtime_throw_bad_alloc();
	return heap_malloc_fast(size, &new_slow_path);
}

void *new_nothrow(size_t size, const struct nothrow *nothrow)
{
	if (IS_LEFT(CXX_NEW_NOTHROW))
		return LEFT(nothrow_new, CXX_NEW_NOTHROW)(size, nothrow);
	if (debug_alloc(size, CALLER))
		return NULL;
	return heap_malloc_fast(size, &nothrow_slow_path);
}

void *new_array_nothrow(size_t size, const struct nothrow *nothrow)
{
	if (IS_LEFT(CXX_NEW_ARRAY_NOTHROW))
		return LEFT(nothrow_new, CXX_NEW_ARRAY_NOTHROW)(size, nothrow);
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
		cxx_runtime_throw_bad_alloc();
	memory = heap_cached_aligned(alignment, size);
	if (unlikely(memory == NULL))
		memory = aligned_slow_path(size, alignment);
	return likely(memory != NULL) ? memory : new_failed(size, alignment);
}

void *new_array_aligned(size_t size, align_val alignment)
{
	if (IS_LEFT(CXX_NEW_ARRAY_ALIGNED))
		return LEFT(aligned_new, CXX_NEW_ARRAY_ALIGNED)(size, alignment);
	return new_aligned(size, alignment);
}

void *new_aligned_nothrow(size_t size, align_val alignment, const struct nothrow *nothrow)
{
	void *memory;

	if (IS_LEFT(CXX_NEW_ALIGNED_NOTHROW))
		return LEFT(aligned_nothrow_new, CXX_NEW_ALIGNED_NOTHROW)(size, alignment, nothrow);
	if (debug_alloc(size, CALLER))
		return NULL;
	memory = heap_cached_aligned(alignment, size);
	if (unlikely(memory == NULL))
		memory = aligned_slow_path(size, alignment);
	return likely(memory != NULL) ? memory : aligned_nothrow_failed(size, alignment);
}

void *new_array_aligned_nothrow(size_t size, align_val alignment, const struct nothrow *nothrow)
{
	if (IS_LEFT(CXX_NEW_ARRAY_ALIGNED_NOTHROW))
		return LEFT(aligned_nothrow_new, CXX_NEW_ARRAY_ALIGNED_NOTHROW)(size, alignment,
		                                                                nothrow);
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
	if (IS_LEFT(CXX_DELETE_NOTHROW))
		LEFT(nothrow_delete, CXX_DELETE_NOTHROW)(memory, nothrow);
	else
		heap_free(memory);
}

void delete_array_nothrow(void *memory, const struct nothrow *nothrow)
{
	if (IS_LEFT(CXX_DELETE_ARRAY_NOTHROW))
		LEFT(nothrow_delete, CXX_DELETE_ARRAY_NOTHROW)(memory, nothrow);
	else
		heap_free(memory);
}

void delete_sized(void *memory, size_t size)
{
	if (IS_LEFT(CXX_DELETE_SIZED))
		LEFT(sized_delete, CXX_DELETE_SIZED)(memory, size);
	else if (likely(memory != NULL))
		heap_sized_free(memory, size);
}

void delete_array_sized(void *memory, size_t size)
{
	if (IS_LEFT(CXX_DELETE_ARRAY_SIZED))
		LEFT(sized_delete, CXX_DELETE_ARRAY_SIZED)(memory, size);
	else if (likely(memory != NULL))
		heap_sized_free(memory, size);
}

void delete_aligned(void *memory, align_val alignment)
{
	(void)alignment;
	heap_free(memory);
}

void delete_array_aligned(void *memory, align_val alignment)
{
	if (IS_LEFT(CXX_DELETE_ARRAY_ALIGNED))
		LEFT(aligned_delete, CXX_DELETE_ARRAY_ALIGNED)(memory, alignment);
	else
		heap_free(memory);
}

void delete_aligned_nothrow(void *memory, align_val alignment, const struct nothrow *nothrow)
{
	if (IS_LEFT(CXX_DELETE_ALIGNED_NOTHROW))
		LEFT(aligned_nothrow_delete, CXX_DELETE_ALIGNED_NOTHROW)
	(memory, alignment, nothrow);
	else heap_free(memory);
}

void delete_array_aligned_nothrow(void *memory, align_val alignment, const struct nothrow *nothrow)
{
	if (IS_LEFT(CXX_DELETE_ARRAY_ALIGNED_NOTHROW))
		LEFT(aligned_nothrow_delete, CXX_DELETE_ARRAY_ALIGNED_NOTHROW)
	(memory, alignment, nothrow);
	else heap_free(memory);
}

void delete_sized_aligned(void *memory, size_t size, align_val alignment)
{
	if (IS_LEFT(CXX_DELETE_SIZED_ALIGNED))
		LEFT(sized_aligned_delete, CXX_DELETE_SIZED_ALIGNED)(memory, size, alignment);
	else
		free_aligned_sized(memory, alignment, size);
}

void delete_array_sized_aligned(void *memory, size_t size, align_val alignment)
{
	if (IS_LEFT(CXX_DELETE_ARRAY_SIZED_ALIGNED))
		LEFT(sized_aligned_delete, CXX_DELETE_ARRAY_SIZED_ALIGNED)(memory, size, alignment);
	else
		free_aligned_sized(memory, alignment, size);
}
