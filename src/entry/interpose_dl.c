/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dlopen() and dlclose(). Not in the static library, where they would be libc's twice.
 *
 * A file that is opened with RTLD_DEEPBIND finds libc's malloc() before this one, and the program comes to free
 * blocks of one heap in the other: so the flag is taken out. dlopen() looks at where it was called from, for
 * RUNPATH, $ORIGIN and the namespace. That has to stay the program: what comes last is a jump.
 */
#include <dlfcn.h>

#include "base/base.h"
#include "config/options.h"
#include "entry/interpose.h"
#include "lockdep/debug.h"

#if defined(__has_attribute)
#if __has_attribute(musttail)
#define JUMP __attribute__((musttail)) return
#endif
#endif
#ifdef JUMP
#define JUMPS
#else
/* Whatever the file is compiled with: unoptimised or counting, gcc would call. */
#define JUMPS __attribute__((optimize("O2"), no_profile_instrument_function))
#define JUMP return
#endif

#define MEMBER(function) __typeof__(&function) function
/* libc's own; NULL: not looked up yet. Relaxed: whoever looks it up finds the same. */
static struct {
	MEMBER(dlopen);
	MEMBER(dlmopen);
	MEMBER(dlclose);
} libc;

/* At its first use, where that is before this library's constructor. */
#define NEXT(function)                                                                            \
	__extension__({                                                                           \
		__typeof__(&function) found_ = __atomic_load_n(&libc.function, __ATOMIC_RELAXED); \
                                                                                                  \
		if (unlikely(found_ == NULL)) {                                                   \
			*(void **)&found_ = dlsym(RTLD_NEXT, #function);                          \
			__atomic_store_n(&libc.function, found_, __ATOMIC_RELAXED);               \
		}                                                                                 \
		found_;                                                                           \
	})

__attribute__((constructor)) static void look_up(void)
{
	(void)NEXT(dlopen);
	(void)NEXT(dlmopen);
	(void)NEXT(dlclose);
}

/* Where another allocator comes first, what becomes of its blocks is not this library's business. */
static OOM_NOINLINE int without_deepbind(int mode)
{
	if ((mode & RTLD_DEEPBIND) != 0 && !options.is_deepbind && interpose_is_first())
		mode &= ~RTLD_DEEPBIND;
	return mode;
}

JUMPS OOM_EXPORT void *dlopen(const char *path, int mode)
{
	mode = without_deepbind(mode);
	JUMP NEXT(dlopen)(path, mode);
}

/* In another namespace there is another libc, and the program's malloc() is none of its business. */
JUMPS OOM_EXPORT void *dlmopen(Lmid_t namespace, const char *path, int mode)
{
	if (namespace == LM_ID_BASE)
		mode = without_deepbind(mode);
	JUMP NEXT(dlmopen)(namespace, path, mode);
}

/* For the lock checker: another file may come to lie there. */
OOM_EXPORT int dlclose(void *file)
{
	return debug_close(NEXT(dlclose), file);
}
