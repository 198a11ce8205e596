/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The function of glibc that pthread_atfork() calls, for every file that was linked with it. The
 * handler that was registered first is called last before a fork(): the library's has to be, as the
 * heap's locks may be wanted by a thread that another handler waits for. Not in the static library,
 * where it would be libc's twice.
 */
#include <dlfcn.h>
#include <errno.h>

#include "base/base.h"
#include "entry/fork.h"

typedef int register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
                            void *file);

register_atfork __register_atfork;

OOM_EXPORT int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
                                 void *file)
{
	register_atfork *next;

	*(void **)&next = dlsym(RTLD_NEXT, "__register_atfork");
	if (next == NULL)
		return ENOMEM;
	fork_register();
	return next(prepare, parent, child, file);
}
