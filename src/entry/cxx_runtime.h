/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The C++ runtime, looked up when it is needed: a C program has none, and a plug-in may bring it long
 * after this library was loaded.
 */
#ifndef OOM_CXX_RUNTIME_H
#define OOM_CXX_RUNTIME_H

typedef void cxx_new_handler(void);
cxx_new_handler *cxx_runtime_new_handler(void);
_Noreturn void cxx_runtime_throw_bad_alloc(void);

/* Forms of operator new and delete that the runtime makes of others: C++ promises a program with an
   operator new and delete of its own that the forms it leaves out call these. */
enum cxx_form {
	CXX_NEW_NOTHROW,
	CXX_NEW_ARRAY_NOTHROW,
	CXX_NEW_ALIGNED_NOTHROW,
	CXX_NEW_ARRAY_ALIGNED,
	CXX_NEW_ARRAY_ALIGNED_NOTHROW,
	CXX_DELETE_NOTHROW,
	CXX_DELETE_ARRAY_NOTHROW,
	CXX_DELETE_SIZED,
	CXX_DELETE_ARRAY_SIZED,
	CXX_DELETE_ARRAY_ALIGNED,
	CXX_DELETE_ALIGNED_NOTHROW,
	CXX_DELETE_ARRAY_ALIGNED_NOTHROW,
	CXX_DELETE_SIZED_ALIGNED,
	CXX_DELETE_ARRAY_SIZED_ALIGNED,
	CXX_FORMS
};

/* The runtime's own, or NULL if there is none. */
void *cxx_runtime_form(enum cxx_form form);

/* The same for all of them, in a program that has replaced some other form; NULL in all others. */
extern void *cxx_runtime_forms[CXX_FORMS];

/* Fills them. To be called once, before main(). */
void cxx_runtime_init(void);

#endif
