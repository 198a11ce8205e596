/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C++'s operator new and delete, by their mangled names. Where the program has replaced some of
 * these, the forms that are made of a form that it has replaced lead there: a block from there
 * would be none of the heap's.
 */
#include "base/base.h"
#include "entry/cxx_failed.h"
#include "entry/cxx_runtime.h"
#include "entry/fail_malloc.h"
#include "entry/interpose.h"
#include "entry/interpose_aligned.h"
#include "entry/slow_path.h"
#include "heap/heap_fast.h"

/* std::nothrow_t, an empty class whose objects only choose a function, and std::align_val_t. */
struct nothrow;
typedef size_t align_val;

enum form {
	NEW,
	NEW_ARRAY,
	NEW_NOTHROW,
	NEW_ARRAY_NOTHROW,
	NEW_ALIGNED,
	NEW_ARRAY_ALIGNED,
	NEW_ALIGNED_NOTHROW,
	NEW_ARRAY_ALIGNED_NOTHROW,
	DELETE,
	DELETE_ARRAY,
	DELETE_NOTHROW,
	DELETE_ARRAY_NOTHROW,
	DELETE_SIZED,
	DELETE_ARRAY_SIZED,
	DELETE_ALIGNED,
	DELETE_ARRAY_ALIGNED,
	DELETE_ALIGNED_NOTHROW,
	DELETE_ARRAY_ALIGNED_NOTHROW,
	DELETE_SIZED_ALIGNED,
	DELETE_ARRAY_SIZED_ALIGNED,
	FORMS
};

typedef void any_form(void);

static void not_known(void)
{
}

/* The form that C++ defines this form by, where the program has replaced that one, or one further
   down the chain; NULL in all other programs. Constructors of other libraries run before those of
   this one, so the first call of a form finds out for all forms; two threads at once find the
   same. */
static any_form *left[FORMS] = {[0 ... FORMS - 1] = not_known};

static bool is_left(enum form form);
#define IS_LEFT(form) (unlikely(left[form] != NULL) && is_left(form))

/* The forms of which others are made, as the program has them. */
#define LEFT_NEW(form, size) ((void *(*)(size_t))left[form])(size)
#define LEFT_NEW_ALIGNED(form, size, alignment) \
	((void *(*)(size_t, align_val))left[form])(size, alignment)
#define LEFT_DELETE(form, memory) ((void (*)(void *))left[form])(memory)
#define LEFT_DELETE_ALIGNED(form, memory, alignment) \
	((void (*)(void *, align_val))left[form])(memory, alignment)

/* A form nothrow is made of one that throws; alignment 0: of one that takes none. */
struct left_call {
	enum form form;
	size_t size;
	align_val alignment;
	void *memory;
};

static void call_new(void *arg)
{
	struct left_call *call = arg;

	call->memory = call->alignment == 0
	                       ? LEFT_NEW(call->form, call->size)
	                       : LEFT_NEW_ALIGNED(call->form, call->size, call->alignment);
}

static OOM_COLD void *left_nothrow(enum form form, size_t size, align_val alignment)
{
	struct left_call call = {.form = form, .size = size, .alignment = alignment};

	return cxx_runtime_try(call_new, &call) ? call.memory : NULL;
}

static OOM_NOINLINE void *new_slow_path(size_t size)
{
	void *memory = heap_malloc_slow(size);

	slow_path_end();
	return likely(memory != NULL) ? memory : cxx_failed(size, 0);
}

static OOM_NOINLINE void *nothrow_slow_path(size_t size)
{
	void *memory = heap_malloc_slow(size);

	slow_path_end();
	return likely(memory != NULL) ? memory : cxx_failed_nothrow(size, 0);
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
	if (fail_malloc_strikes(size, CALLER))
		cxx_runtime_throw_bad_alloc();
	return heap_malloc_fast(size, &new_slow_path);
}

void *new_array(size_t size)
{
	if (IS_LEFT(NEW_ARRAY))
		return LEFT_NEW(NEW_ARRAY, size);
	if (fail_malloc_strikes(size, CALLER))
		cxx_runtime_throw_bad_alloc();
	return heap_malloc_fast(size, &new_slow_path);
}

/* Where the program has replaced one of the two forms that come here, the other is still the
   library's. */
static inline void *alloc_nothrow(enum form form, size_t size, const void *caller)
{
	(void)caller; /* only the debug library looks at it */
	if (IS_LEFT(form))
		return left_nothrow(form, size, 0);
	if (fail_malloc_strikes(size, caller))
		return NULL;
	return heap_malloc_fast(size, &nothrow_slow_path);
}

void *new_nothrow(size_t size, const struct nothrow *nothrow)
{
	(void)nothrow;
	return alloc_nothrow(NEW_NOTHROW, size, CALLER);
}

void *new_array_nothrow(size_t size, const struct nothrow *nothrow)
{
	(void)nothrow;
	return alloc_nothrow(NEW_ARRAY_NOTHROW, size, CALLER);
}

static OOM_NOINLINE void *new_aligned_slow_path(size_t size, align_val alignment)
{
	return aligned_slow_path(size, alignment, cxx_failed);
}

static OOM_NOINLINE void *nothrow_aligned_slow_path(size_t size, align_val alignment)
{
	return aligned_slow_path(size, alignment, cxx_failed_nothrow);
}

void *new_aligned(size_t size, align_val alignment)
{
	if (fail_malloc_strikes(size, CALLER))
		cxx_runtime_throw_bad_alloc();
	return aligned_fast_path(size, alignment, new_aligned_slow_path);
}

void *new_array_aligned(size_t size, align_val alignment)
{
	if (IS_LEFT(NEW_ARRAY_ALIGNED))
		return LEFT_NEW_ALIGNED(NEW_ARRAY_ALIGNED, size, alignment);
	return new_aligned(size, alignment);
}

static inline void *alloc_aligned_nothrow(enum form form, size_t size, align_val alignment,
                                          const void *caller)
{
	if (IS_LEFT(form))
		return left_nothrow(form, size, alignment);
	return aligned_or_null(size, alignment, caller, nothrow_aligned_slow_path);
}

void *new_aligned_nothrow(size_t size, align_val alignment, const struct nothrow *nothrow)
{
	(void)nothrow;
	return alloc_aligned_nothrow(NEW_ALIGNED_NOTHROW, size, alignment, CALLER);
}

void *new_array_aligned_nothrow(size_t size, align_val alignment, const struct nothrow *nothrow)
{
	(void)nothrow;
	return alloc_aligned_nothrow(NEW_ARRAY_ALIGNED_NOTHROW, size, alignment, CALLER);
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

void delete_plain(void *memory)
{
	heap_free(memory);
}

void delete_array(void *memory)
{
	if (IS_LEFT(DELETE_ARRAY))
		LEFT_DELETE(DELETE_ARRAY, memory);
	else
		heap_free(memory);
}

void delete_nothrow(void *memory, const struct nothrow *nothrow)
{
	(void)nothrow;
	if (IS_LEFT(DELETE_NOTHROW))
		LEFT_DELETE(DELETE_NOTHROW, memory);
	else
		heap_free(memory);
}

void delete_array_nothrow(void *memory, const struct nothrow *nothrow)
{
	(void)nothrow;
	if (IS_LEFT(DELETE_ARRAY_NOTHROW))
		LEFT_DELETE(DELETE_ARRAY_NOTHROW, memory);
	else
		heap_free(memory);
}

void delete_sized(void *memory, size_t size)
{
	if (IS_LEFT(DELETE_SIZED))
		LEFT_DELETE(DELETE_SIZED, memory);
	else
		heap_sized_free(memory, size);
}

void delete_array_sized(void *memory, size_t size)
{
	if (IS_LEFT(DELETE_ARRAY_SIZED))
		LEFT_DELETE(DELETE_ARRAY_SIZED, memory);
	else
		heap_sized_free(memory, size);
}

void delete_aligned(void *memory, align_val alignment)
{
	(void)alignment;
	heap_free(memory);
}

void delete_array_aligned(void *memory, align_val alignment)
{
	if (IS_LEFT(DELETE_ARRAY_ALIGNED))
		LEFT_DELETE_ALIGNED(DELETE_ARRAY_ALIGNED, memory, alignment);
	else
		heap_free(memory);
}

void delete_aligned_nothrow(void *memory, align_val alignment, const struct nothrow *nothrow)
{
	(void)nothrow;
	if (IS_LEFT(DELETE_ALIGNED_NOTHROW))
		LEFT_DELETE_ALIGNED(DELETE_ALIGNED_NOTHROW, memory, alignment);
	else
		heap_free(memory);
}

void delete_array_aligned_nothrow(void *memory, align_val alignment, const struct nothrow *nothrow)
{
	(void)nothrow;
	if (IS_LEFT(DELETE_ARRAY_ALIGNED_NOTHROW))
		LEFT_DELETE_ALIGNED(DELETE_ARRAY_ALIGNED_NOTHROW, memory, alignment);
	else
		heap_free(memory);
}

void delete_sized_aligned(void *memory, size_t size, align_val alignment)
{
	if (IS_LEFT(DELETE_SIZED_ALIGNED))
		LEFT_DELETE_ALIGNED(DELETE_SIZED_ALIGNED, memory, alignment);
	else
		free_aligned_sized(memory, alignment, size);
}

void delete_array_sized_aligned(void *memory, size_t size, align_val alignment)
{
	if (IS_LEFT(DELETE_ARRAY_SIZED_ALIGNED))
		LEFT_DELETE_ALIGNED(DELETE_ARRAY_SIZED_ALIGNED, memory, alignment);
	else
		free_aligned_sized(memory, alignment, size);
}

/* The public name of a form leads to the program's own, where it has one; this one is always the
   library's. */
#define OWN(name, mangled) \
	extern __typeof__(name) own_##name __attribute__((alias(mangled), visibility("hidden")))
OWN(new_plain, "_Znwm");
OWN(new_array, "_Znam");
OWN(new_nothrow, "_ZnwmRKSt9nothrow_t");
OWN(new_array_nothrow, "_ZnamRKSt9nothrow_t");
OWN(new_aligned, "_ZnwmSt11align_val_t");
OWN(new_array_aligned, "_ZnamSt11align_val_t");
OWN(new_aligned_nothrow, "_ZnwmSt11align_val_tRKSt9nothrow_t");
OWN(new_array_aligned_nothrow, "_ZnamSt11align_val_tRKSt9nothrow_t");
OWN(delete_plain, "_ZdlPv");
OWN(delete_array, "_ZdaPv");
OWN(delete_nothrow, "_ZdlPvRKSt9nothrow_t");
OWN(delete_array_nothrow, "_ZdaPvRKSt9nothrow_t");
OWN(delete_sized, "_ZdlPvm");
OWN(delete_array_sized, "_ZdaPvm");
OWN(delete_aligned, "_ZdlPvSt11align_val_t");
OWN(delete_array_aligned, "_ZdaPvSt11align_val_t");
OWN(delete_aligned_nothrow, "_ZdlPvSt11align_val_tRKSt9nothrow_t");
OWN(delete_array_aligned_nothrow, "_ZdaPvSt11align_val_tRKSt9nothrow_t");
OWN(delete_sized_aligned, "_ZdlPvmSt11align_val_t");
OWN(delete_array_sized_aligned, "_ZdaPvmSt11align_val_t");

static const struct {
	any_form *bound, *own;
	enum form made_of; /* itself: of none */
} forms[FORMS] = {
#define ROW(name, made_of)                                          \
	{                                                           \
		(any_form *)(name), (any_form *)own_##name, made_of \
	}
	[NEW] = ROW(new_plain, NEW),
	[NEW_ARRAY] = ROW(new_array, NEW),
	[NEW_NOTHROW] = ROW(new_nothrow, NEW),
	[NEW_ARRAY_NOTHROW] = ROW(new_array_nothrow, NEW_ARRAY),
	[NEW_ALIGNED] = ROW(new_aligned, NEW_ALIGNED),
	[NEW_ARRAY_ALIGNED] = ROW(new_array_aligned, NEW_ALIGNED),
	[NEW_ALIGNED_NOTHROW] = ROW(new_aligned_nothrow, NEW_ALIGNED),
	[NEW_ARRAY_ALIGNED_NOTHROW] = ROW(new_array_aligned_nothrow, NEW_ARRAY_ALIGNED),
	[DELETE] = ROW(delete_plain, DELETE),
	[DELETE_ARRAY] = ROW(delete_array, DELETE),
	[DELETE_NOTHROW] = ROW(delete_nothrow, DELETE),
	[DELETE_ARRAY_NOTHROW] = ROW(delete_array_nothrow, DELETE_ARRAY),
	[DELETE_SIZED] = ROW(delete_sized, DELETE),
	[DELETE_ARRAY_SIZED] = ROW(delete_array_sized, DELETE_ARRAY),
	[DELETE_ALIGNED] = ROW(delete_aligned, DELETE_ALIGNED),
	[DELETE_ARRAY_ALIGNED] = ROW(delete_array_aligned, DELETE_ALIGNED),
	[DELETE_ALIGNED_NOTHROW] = ROW(delete_aligned_nothrow, DELETE_ALIGNED),
	[DELETE_ARRAY_ALIGNED_NOTHROW] = ROW(delete_array_aligned_nothrow, DELETE_ARRAY_ALIGNED),
	[DELETE_SIZED_ALIGNED] = ROW(delete_sized_aligned, DELETE_ALIGNED),
	[DELETE_ARRAY_SIZED_ALIGNED] = ROW(delete_array_sized_aligned, DELETE_ARRAY_ALIGNED),
};

static any_form *find_left(enum form form)
{
	enum form next = form;

	while (forms[next].made_of != next) {
		next = forms[next].made_of;
		if (forms[next].bound != forms[next].own)
			return forms[forms[form].made_of].bound;
	}
	return NULL;
}

static OOM_COLD bool is_left(enum form form)
{
	if (left[form] == not_known)
		for (int i = 0; i < FORMS; i++)
			left[i] = find_left((enum form)i);
	return left[form] != NULL;
}
