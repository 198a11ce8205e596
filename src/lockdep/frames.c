/* SPDX-License-Identifier: BSD-2-Clause */
#include "lockdep/frames.h"

#include <dlfcn.h>
#include <stddef.h>
#include <unwind.h>

#include "base/base.h"

/* libgcc's, by its own table of symbols: libunwind has functions of these names too. Set once, in
   the constructor. */
static _Unwind_Reason_Code (*walk)(_Unwind_Trace_Fn each, void *arg);
static _Unwind_Ptr (*address_in)(struct _Unwind_Context *context);

struct taking {
	void **frames;
	int count, max;
};

static _Unwind_Reason_Code take(struct _Unwind_Context *context, void *arg)
{
	struct taking *taking = arg;

	/* The first is frames_take() itself. */
	if (taking->count >= 0)
		taking->frames[taking->count] = (void *)address_in(context);
	return ++taking->count < taking->max ? _URC_NO_REASON : _URC_END_OF_STACK;
}

const void *frames_init(void)
{
	void *file = dlopen("libgcc_s.so.1", RTLD_LAZY), *found[2] = {NULL};

	if (file != NULL) {
		found[0] = dlsym(file, "_Unwind_Backtrace");
		found[1] = dlsym(file, "_Unwind_GetIP");
	}
	if (found[0] == NULL || found[1] == NULL) {
		(void)dlerror();
		return NULL;
	}
	*(void **)&address_in = found[1];
	*(void **)&walk = found[0];
	return found[0];
}

OOM_NOINLINE int frames_take(void **frames, int count)
{
	struct taking taking = {.frames = frames, .count = -1, .max = count};

	if (walk == NULL || count <= 0)
		return 0;
	walk(take, &taking);
	return taking.count > 0 ? taking.count : 0;
}
