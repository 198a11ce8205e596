/* SPDX-License-Identifier: BSD-2-Clause */
#include "entry/cxx_bad_alloc.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unwind.h>

#include "base/base.h"
#include "heap/heap_fast.h"
#include "heap/heap_ops.h"

typedef void any_function(void);

/* A class's record of its type. Where the base class and other things stand is asked by
   functions. */
struct type {
	any_function *const *table;
	const char *name;
};

/* Nothing of a type, nor of an object, is to be destroyed. */
static void destroy(void *object)
{
	(void)object;
}

static bool is_not(const struct type *type)
{
	(void)type;
	return false;
}

/* Can a handler of the class `target` take an object of this class? */
static bool upcast(const struct type *type, const struct type *target, void **object)
{
	(void)object;
	return target == type || strcmp(target->name, "St9exception") == 0 ||
	       strcmp(target->name, type->name) == 0;
}

/* As the class of a handler, which it never is; and dynamic_cast to other classes. */
static bool is_no_other(void)
{
	return false;
}

/* As the library's own enumeration has "not contained". */
static int find_public_source(void)
{
	return 1;
}

static any_function *const type_table[] = {
	(any_function *)destroy,
	(any_function *)destroy,
	(any_function *)is_not,
	(any_function *)is_not,
	(any_function *)is_no_other,
	(any_function *)upcast,
	(any_function *)is_no_other,
	(any_function *)is_no_other,
	(any_function *)find_public_source,
};

static const struct type bad_alloc_type = {type_table, "St9bad_alloc"};

static const char *what(const void *object)
{
	(void)object;
	return "std::bad_alloc";
}

static const struct {
	ptrdiff_t offset;
	const struct type *type;
	any_function *functions[3];
} object_table = {
	.type = &bad_alloc_type,
	.functions = {(any_function *)destroy, (any_function *)destroy, (any_function *)what},
};

void *cxx_bad_alloc_type(void)
{
	return (void *)(uintptr_t)&bad_alloc_type;
}

void *cxx_bad_alloc_table(void)
{
	return (void *)(uintptr_t)object_table.functions;
}

/* What stands in front of an object that is thrown: __cxa_refcounted_exception of the C++ ABI. */
struct thrown {
	int references;
	struct {
		const struct type *type;
		void (*destroy)(void *object);
		any_function *unexpected, *terminate;
		void *next;
		int handlers, handler_switch;
		const void *action, *language_data;
		uintptr_t catch_temporary;
		void *adjusted;
		struct _Unwind_Exception unwind;
	} exception;
	const void *object[]; /* its first word */
};

/* "GNUCC++" and a NUL. */
#define EXCEPTION_CLASS 0x474e5543432b2b00ULL

/* Where the heap has nothing left for what is thrown: one for each exception that is under way at
   one moment. The runtime sets aside something for its own as well. */
#define SPARES 32
static struct spare {
	_Alignas(16) unsigned char bytes[256];
	atomic_bool is_taken;
} spares[SPARES];
_Static_assert(sizeof(struct thrown) + sizeof(void *) <= sizeof spares[0].bytes, "fits");

static struct thrown *take_spare(void)
{
	for (size_t i = 0; i < SPARES; i++)
		if (!atomic_exchange(&spares[i].is_taken, true))
			return (struct thrown *)spares[i].bytes;
	return NULL;
}

static void release(struct thrown *thrown)
{
	if ((uintptr_t)thrown - (uintptr_t)spares < sizeof spares)
		atomic_store(&((struct spare *)thrown)->is_taken, false);
	else
		heap_free(thrown);
}

/* The runtime of the handler, which ends here, has counted on the same number. */
static void clean_up(_Unwind_Reason_Code reason, struct _Unwind_Exception *unwind)
{
	struct thrown *thrown =
		(struct thrown *)((char *)unwind - offsetof(struct thrown, exception.unwind));

	(void)reason;
	if (__atomic_sub_fetch(&thrown->references, 1, __ATOMIC_ACQ_REL) == 0)
		release(thrown);
}

void cxx_bad_alloc_raise(void)
{
	const struct heap_request request = {.size = sizeof(struct thrown) + sizeof(void *)};
	struct thrown *thrown = heap_ops.alloc(&request);

	if (thrown == NULL)
		thrown = take_spare();
	if (thrown == NULL)
		return;
	memset(thrown, 0, request.size);
	thrown->references = 1;
	thrown->exception.type = &bad_alloc_type;
	thrown->exception.adjusted = thrown->object;
	thrown->exception.unwind.exception_class = EXCEPTION_CLASS;
	thrown->exception.unwind.exception_cleanup = clean_up;
	thrown->object[0] = object_table.functions;
	_Unwind_RaiseException(&thrown->exception.unwind);
	release(thrown);
}
