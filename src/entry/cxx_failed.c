/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A failing operator new goes down the ladder to the end of reclaim, then asks the new_handler, as
 * often as there is one; then comes what is harsher, and last bad_alloc.
 */
#include "entry/cxx_failed.h"

#include <errno.h>

#include "base/base.h"
#include "entry/cxx_runtime.h"
#include "heap/heap_fast.h"
#include "heap/heap_ops.h"
#include "ladder/ladder.h"

static void *descend(const struct heap_request *request)
{
	struct oom_control control;
	void *memory;

	for (;;) {
		cxx_new_handler *handler;

		ladder_begin(&control, request);
		memory = ladder_run(&control, RUNG_POLICY);
		if (memory != NULL)
			return memory;
		heap_check_infallible();
		handler = cxx_runtime_new_handler();
		if (handler == NULL)
			return ladder_run(&control, RUNGS);
		/* A new_handler makes room, throws, or ends the program. */
		handler();
		memory = heap_ops.alloc(request);
		if (memory != NULL)
			return memory;
	}
}

/* Of operator new, of which a call here is the end. */
#define CALLER __builtin_return_address(0)

OOM_COLD void *cxx_failed(size_t size, size_t alignment)
{
	const struct heap_request request = {.size = size,
	                                     .alignment = alignment,
	                                     .caller = CALLER};
	int saved = errno;
	void *memory = descend(&request);

	if (memory == NULL)
		cxx_runtime_throw_bad_alloc();
	errno = saved;
	return memory;
}

struct nothrow_descent {
	struct heap_request request;
	void *memory;
};

static void descend_into(void *arg)
{
	struct nothrow_descent *nothrow = arg;

	nothrow->memory = descend(&nothrow->request);
}

OOM_COLD void *cxx_failed_nothrow(size_t size, size_t alignment)
{
	struct nothrow_descent nothrow = {
		.request = {.size = size, .alignment = alignment, .caller = CALLER}};
	int saved = errno;

	/* Catches what the new_handler throws. */
	if (!cxx_runtime_try(descend_into, &nothrow))
		return NULL;
	if (nothrow.memory != NULL)
		errno = saved;
	return nothrow.memory;
}
