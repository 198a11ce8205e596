/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dlopen() and dlclose(). Not in the static library, where they would be libc's twice.
 *
 * A file that is opened with RTLD_DEEPBIND finds libc's malloc() before this one, and the program
 * comes to free blocks of one heap in the other: so the flag is taken out. dlopen() looks at where
 * it was called from, for RUNPATH, $ORIGIN and the namespace. That has to stay the program: what
 * comes last is a jump.
 */
#include <dlfcn.h>
#include <string.h>

#include "base/base.h"
#include "base/io.h"
#include "config/options.h"
#include "config/verbose.h"
#include "entry/interpose.h"
#include "entry/jump.h"
#include "kill/policy.h"
#include "limits/group_victim.h"
#include "lockdep/watch.h"
#include "reclaim/registry.h"

/* Names take no parentheses where they are declared, as here and below. */
/* NOLINTBEGIN(bugprone-macro-parentheses) */
#define MEMBER(function) __typeof__(&function) function
/* libc's own; NULL: not looked up yet. Relaxed: every thread that looks it up finds the same. */
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
/* NOLINTEND(bugprone-macro-parentheses) */

__attribute__((constructor)) static void look_up(void)
{
	(void)NEXT(dlopen);
	(void)NEXT(dlmopen);
	(void)NEXT(dlclose);
}

/* Where another allocator comes first, what becomes of its blocks is not this library's
   business. */
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

/* In another namespace there is another libc, and the program's malloc() is none of its
   business. */
JUMPS OOM_EXPORT void *dlmopen(Lmid_t namespace, const char *path, int mode)
{
	if (namespace == LM_ID_BASE)
		mode = without_deepbind(mode);
	JUMP NEXT(dlmopen)(namespace, path, mode);
}

/* ---- Callbacks of a file that goes without unregistering them ---- */

static bool is_in_file(const void *code, char file[REGISTRY_FILE_MAX + 1])
{
	struct io_buf buf = {.text = file, .bytes = REGISTRY_FILE_MAX + 1};
	const char *slash;
	Dl_info info;

	if (code == NULL || dladdr(code, &info) == 0)
		return false;
	slash = strrchr(info.dli_fname, '/');
	io_puts_clean(&buf, slash != NULL ? slash + 1 : info.dli_fname);
	return true;
}

static void warn_of_gone(const char *callback, const char *file)
{
#ifndef OOM_DEBUG
	if (!verbose_is_on())
		return;
#endif
	io_warn("callback \"%s\" is in %s, which dlclose() has unloaded: unregistered, as the program "
	        "should have done before",
	        callback, file);
}

/* Notes the file of each callback's code. Code that is made as the program runs is in no file. */
static void note_files(void)
{
	struct registry_code code = {.handle = 0};

	while (registry_next_code(&code))
		if (code.file[0] == '\0' && is_in_file(*(void **)&code.function, code.file))
			registry_note_file(&code);
}

/* The same of the functions of groups. They may be many, and no more is kept of each than that. */
static void note_groups(void)
{
	struct group_code code = {.slot = 0};
	char file[REGISTRY_FILE_MAX + 1];

	while (group_next_code(&code))
		if (!code.is_in_file && is_in_file(*(void **)&code.function, file))
			group_note_file(&code);
}

static void drop_gone_groups(void)
{
	struct group_code code = {.slot = 0};
	char now[REGISTRY_FILE_MAX + 1];

	while (group_next_code(&code))
		if (code.is_in_file && !is_in_file(*(void **)&code.function, now) &&
		    oomreclaim_group_on_cancel(code.handle, NULL, NULL) == 0)
			warn_of_gone(code.name, "a file");
}

static void drop_gone(void)
{
	struct registry_code code = {.handle = 0};
	char now[REGISTRY_FILE_MAX + 1];

	while (registry_next_code(&code))
		if (code.file[0] != '\0' && !is_in_file(*(void **)&code.function, now) &&
		    oomreclaim_unregister(code.handle) == 0)
			warn_of_gone(code.name, code.file);
}

OOM_EXPORT int dlclose(void *file)
{
	oomreclaim_policy_callback *policy = policy_get_callback();
	char policy_file[REGISTRY_FILE_MAX + 1], now[REGISTRY_FILE_MAX + 1];
	bool is_policy_in_file = is_in_file(*(void **)&policy, policy_file);
	int result;

	note_files();
	note_groups();
	result = lockdep_close(NEXT(dlclose), file);
	if (result != 0)
		return result;
	drop_gone();
	drop_gone_groups();
	if (is_policy_in_file && !is_in_file(*(void **)&policy, now) &&
	    policy_drop_callback(policy))
		warn_of_gone("policy", policy_file);
	return 0;
}
