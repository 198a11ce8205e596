/* SPDX-License-Identifier: BSD-2-Clause */
#include "entry/cxx_runtime.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <unwind.h>

#include "base/base.h"
#include "base/io.h"
#include "entry/cxx_bad_alloc.h"
#include "entry/elf_object.h"

/* What there is of a runtime, by the names that libstdc++ and libc++ have in common. */
enum { ALLOCATE, THROW, BEGIN_CATCH, END_CATCH, NEEDED, TYPE = NEEDED, TABLE, NEW_HANDLER, PARTS };

static const char *const names[PARTS] = {
	[ALLOCATE] = "__cxa_allocate_exception",
	[THROW] = "__cxa_throw",
	[BEGIN_CATCH] = "__cxa_begin_catch",
	[END_CATCH] = "__cxa_end_catch",
	[TYPE] = "_ZTISt9bad_alloc",
	[TABLE] = "_ZTVSt9bad_alloc",
	[NEW_HANDLER] = "_ZSt15get_new_handlerv",
};

struct runtime {
	void *parts[PARTS];
};

/* Where the runtime comes with the program, the loader finds it by these before anything runs.
   Where a copy of it is linked into a program that is linked to this library too, the linker
   exports the copy's for their sake. */
/* NOLINTNEXTLINE(bugprone-macro-parentheses) a name that is declared can have none */
#define WEAK(name) extern char name[] __attribute__((weak))
WEAK(__cxa_allocate_exception);
WEAK(__cxa_throw);
WEAK(__cxa_begin_catch);
WEAK(__cxa_end_catch);
WEAK(_ZTISt9bad_alloc);
WEAK(_ZTVSt9bad_alloc);
WEAK(_ZSt15get_new_handlerv);

static const struct runtime program_runtime = {{
	[ALLOCATE] = __cxa_allocate_exception,
	[THROW] = __cxa_throw,
	[BEGIN_CATCH] = __cxa_begin_catch,
	[END_CATCH] = __cxa_end_catch,
	[TYPE] = _ZTISt9bad_alloc,
	[TABLE] = _ZTVSt9bad_alloc,
	[NEW_HANDLER] = _ZSt15get_new_handlerv,
}};

static bool is_complete(const struct runtime *runtime)
{
	for (size_t i = 0; i < NEEDED; i++)
		if (runtime->parts[i] == NULL)
			return false;
	return true;
}

/* libc++ keeps one half of it in a file of its own; what is looked for is all in the other. */
static bool is_runtime(const struct elf_object *object, struct runtime *runtime)
{
	if (elf_object_symbol(object, names[THROW]) == NULL)
		return false;
	for (size_t i = 0; i < PARTS; i++)
		runtime->parts[i] = elf_object_symbol(object, names[i]);
	return is_complete(runtime);
}

/* The runtime that a file throws with is in the file itself, or in a file to which one of its
   symbols is bound. */
static bool is_bound_to_runtime(const struct elf_object *object, struct runtime *runtime)
{
	struct elf_object other = *object;
	const void *target;
	size_t next = 0;

	if (is_runtime(object, runtime))
		return true;
	while (elf_object_binding(object, &next, &target)) {
		uintptr_t at = (uintptr_t)target;

		/* As are most of them. */
		if ((at >= other.begin && at < other.end) ||
		    (at >= object->begin && at < object->end))
			continue;
		if (elf_object_at(target, &other) && is_runtime(&other, runtime))
			return true;
	}
	return false;
}

struct search {
	struct runtime *runtime;
	uintptr_t begin, end; /* of the last frame's file */
	bool is_found;
};

static _Unwind_Reason_Code look_at_frame(struct _Unwind_Context *context, void *arg)
{
	struct search *search = arg;
	uintptr_t at = _Unwind_GetIP(context);
	struct elf_object object;

	if ((at >= search->begin && at < search->end) || !elf_object_at((const void *)at, &object))
		return _URC_NO_REASON;
	search->begin = object.begin;
	search->end = object.end;
	search->is_found = is_bound_to_runtime(&object, search->runtime);
	return search->is_found ? _URC_NORMAL_STOP : _URC_NO_REASON;
}

/* The program's, as it comes first for everybody; or that of the nearest caller that has one. */
static bool find(struct runtime *runtime)
{
	struct search search = {.runtime = runtime};

	*runtime = program_runtime;
	if (is_complete(runtime))
		return true;
	_Unwind_Backtrace(look_at_frame, &search);
	return search.is_found;
}

cxx_new_handler *cxx_runtime_new_handler(void)
{
	cxx_new_handler *(*get_new_handler)(void);
	struct runtime runtime;

	if (!find(&runtime) || runtime.parts[NEW_HANDLER] == NULL)
		return NULL;
	*(void **)&get_new_handler = runtime.parts[NEW_HANDLER];
	/* cppcheck-suppress CastIntegerToAddressAtReturn ; it is a pointer to a function */
	return get_new_handler();
}

/* An object of std::bad_alloc is a pointer behind the head of its class's table; nothing is to be
   done when it goes. */
static void throw_by(const struct runtime *runtime)
{
	const bool has_class = runtime->parts[TYPE] != NULL && runtime->parts[TABLE] != NULL;
	void *(*allocate)(size_t size);
	void (*throw)(void *object, void *type, void (*destroy)(void *object));
	void **object;

	*(void **)&allocate = runtime->parts[ALLOCATE];
	*(void **)&throw = runtime->parts[THROW];
	object = allocate(sizeof *object);
	*object = has_class ? (void **)runtime->parts[TABLE] + 2 : cxx_bad_alloc_table();
	throw(object, has_class ? runtime->parts[TYPE] : cxx_bad_alloc_type(), NULL);
}

_Noreturn void cxx_runtime_throw_bad_alloc(void)
{
	struct runtime runtime;

	if (find(&runtime))
		throw_by(&runtime);
	else
		cxx_bad_alloc_raise();
	io_warn("operator new failed, and there is no C++ runtime to throw std::bad_alloc");
	abort();
}

/* As a handler of all exceptions does that does nothing. */
static void dispose(struct _Unwind_Exception *exception)
{
	void *(*begin_catch)(void *exception);
	void (*end_catch)(void);
	struct runtime runtime;

	if (!find(&runtime)) {
		_Unwind_DeleteException(exception);
		return;
	}
	*(void **)&begin_catch = runtime.parts[BEGIN_CATCH];
	*(void **)&end_catch = runtime.parts[END_CATCH];
	begin_catch(exception);
	end_catch();
}

/* C has no word for it, but the unwinder asks each frame's personality routine whether the frame
   takes the exception. When it comes to the frame itself, all frames below have been cleared
   away. */
struct attempt {
	jmp_buf taken;
	struct _Unwind_Exception *exception;
	struct attempt *outer;
};

/* The innermost of this thread. */
static OOM_TLS struct attempt *current_attempt;

static _Unwind_Reason_Code personality(int version, _Unwind_Action actions,
                                       _Unwind_Exception_Class class,
                                       struct _Unwind_Exception *exception,
                                       struct _Unwind_Context *context)
{
	(void)class, (void)context;
	if (version != 1)
		return _URC_FATAL_PHASE1_ERROR;
	if ((actions & _UA_SEARCH_PHASE) != 0)
		return _URC_HANDLER_FOUND;
	if ((actions & _UA_HANDLER_FRAME) != 0) {
		current_attempt->exception = exception;
		longjmp(current_attempt->taken, 1);
	}
	/* The thread ends, or another kind of forced unwinding passes. */
	current_attempt = current_attempt->outer;
	return _URC_CONTINUE_UNWIND;
}

/* In one piece, and a frame of its own. */
OOM_IN_ONE_PIECE bool cxx_runtime_try(void (*function)(void *arg), void *arg)
{
	struct attempt attempt = {.outer = current_attempt};

	/* pcrel, 4 bytes: DW_EH_PE_pcrel | DW_EH_PE_sdata4. */
	__asm__ volatile(".cfi_personality 0x1b, %c0" : : "i"(personality));
	if (_setjmp(attempt.taken) != 0) {
		current_attempt = attempt.outer;
		dispose(attempt.exception);
		return false;
	}
	current_attempt = &attempt;
	function(arg);
	current_attempt = attempt.outer;
	return true;
}
