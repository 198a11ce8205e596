/* SPDX-License-Identifier: BSD-2-Clause */
/* dlopen() as a program has it without the library: RUNPATH, $ORIGIN, namespaces; and
   RTLD_DEEPBIND. CALLER is loader/caller.c, beside the directory in which its PLUGIN is. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"
#include "loader.h"
#include "oomreclaim.h"

static void *must_open(Lmid_t namespace, const char *file, int mode)
{
	void *opened = namespace == LM_ID_BASE ? dlopen(file, RTLD_NOW | mode)
	                                       : dlmopen(namespace, file, RTLD_NOW | mode);

	if (!opened)
		check_failed(__FILE__, __LINE__, dlerror());
	return opened;
}

static Lmid_t namespace_of(void *opened)
{
	Lmid_t namespace;

	CHECK(dlinfo(opened, RTLD_DI_LMID, &namespace) == 0);
	return namespace;
}

/* The caller, not the program, has a RUNPATH, and is in the directory that $ORIGIN stands for. */
static void open_by_caller(Lmid_t namespace, const char *plugin)
{
	void *caller = must_open(namespace, getenv("CALLER"), RTLD_LOCAL), *opened;
	open_plugin *open;

	*(void **)&open = dlsym(caller, "caller_open");
	CHECK(open);
	CHECK(!dlopen(plugin, RTLD_NOW));
	opened = open(plugin, RTLD_NOW);
	CHECK(opened);
	CHECK(namespace_of(opened) == namespace_of(caller));
	CHECK((namespace == LM_ID_NEWLM) == (namespace_of(opened) != LM_ID_BASE));
	opened = open(plugin, RTLD_NOW | RTLD_DEEPBIND);
	CHECK(opened);
	CHECK(dlclose(opened) == 0);
	CHECK(dlclose(caller) == 0);
}

static void runpath(void)
{
	open_by_caller(LM_ID_BASE, PLUGIN);
}

static void origin(void)
{
	open_by_caller(LM_ID_BASE, "$ORIGIN/hidden/" PLUGIN);
}

static void namespaces(void)
{
	open_by_caller(LM_ID_NEWLM, PLUGIN);
	open_by_caller(LM_ID_NEWLM, "$ORIGIN/hidden/" PLUGIN);
}

static void errors(void)
{
	CHECK(!dlopen("/nonexistent/plugin.so", RTLD_NOW | RTLD_DEEPBIND));
	CHECK(strstr(dlerror(), "/nonexistent/plugin.so"));
	CHECK(!dlmopen(LM_ID_BASE, "/nonexistent/plugin.so", RTLD_NOW | RTLD_DEEPBIND));
	CHECK(strstr(dlerror(), "/nonexistent/plugin.so"));
	CHECK(dlopen(NULL, RTLD_NOW | RTLD_DEEPBIND));
	CHECK(!dlopen(getenv("PLUGIN"), RTLD_NOW | RTLD_NOLOAD | RTLD_DEEPBIND));
}

/* ---- Whose malloc() a plugin has ---- */

static bool has_our_malloc(void *plugin)
{
	plugin_address *address;

	*(void **)&address = dlsym(plugin, "plugin_malloc");
	CHECK(address);
	return address() == dlsym(RTLD_DEFAULT, "malloc");
}

/* Blocks go from one to the other. */
static void exchange(void *plugin)
{
	plugin_block *strings;
	char *theirs, *ours = malloc(1000);

	*(void **)&strings = dlsym(plugin, "plugin_exchange");
	CHECK(strings && ours);
	theirs = strings(ours);
	CHECK(!strcmp(theirs, "theirs"));
	free(theirs);
}

static void check_deep(Lmid_t namespace)
{
	void *plugin = must_open(namespace, getenv("PLUGIN"), RTLD_DEEPBIND);

	CHECK(has_our_malloc(plugin));
	exchange(plugin);
	CHECK(dlclose(plugin) == 0);
}

static void deep(void)
{
	void *plugin = dlmopen(LM_ID_BASE, getenv("PLUGIN"), RTLD_NOW | RTLD_DEEPBIND);

	check_deep(LM_ID_BASE);
	CHECK(plugin && has_our_malloc(plugin));
	exchange(plugin);
	CHECK(dlclose(plugin) == 0);
}

/* The program's word for it: the plugin has libc's. */
static void deep_kept(void)
{
	CHECK(!has_our_malloc(must_open(LM_ID_BASE, getenv("PLUGIN"), RTLD_DEEPBIND)));
}

/* Of another namespace the malloc is another libc's, with the flag and without. */
static void deep_elsewhere(void)
{
	CHECK(!has_our_malloc(must_open(LM_ID_NEWLM, getenv("PLUGIN"), RTLD_DEEPBIND)));
	CHECK(!has_our_malloc(must_open(LM_ID_NEWLM, getenv("PLUGIN"), 0)));
}

/* ---- A plugin that goes, and leaves its callbacks ---- */

static bool is_registered(oomreclaim_handle handle)
{
	struct oomreclaim_callback_stats stats;

	return oomreclaim_callback_stats(handle, &stats, sizeof stats) == 0;
}

/* What a program makes as it runs is in no file, and stays. */
static oomreclaim_callback *make_code(void)
{
	/* Nothing calls it: there is another word for "return" on each machine. */
	void *code = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	oomreclaim_callback *function;

	CHECK(code != MAP_FAILED);
	*(void **)&function = code;
	return function;
}

static void gone(void)
{
	static struct pool pool;
	void *plugin = must_open(LM_ID_BASE, getenv("PLUGIN"), 0);
	void *again = must_open(LM_ID_BASE, getenv("PLUGIN"), 0);
	oomreclaim_handle handle, made;
	plugin_register_all *register_all;

	*(void **)&register_all = dlsym(plugin, "plugin_register");
	handle = register_all();
	CHECK(handle != 0);
	CHECK(oomreclaim_register("made", 0, 0, make_code(), NULL, &made) == 0);
	CHECK(dlclose(again) == 0);
	CHECK(is_registered(handle) && is_registered(handle + 1));
	CHECK(dlclose(plugin) == 0);
	CHECK(!dlopen(getenv("PLUGIN"), RTLD_NOW | RTLD_NOLOAD));
	CHECK(!is_registered(handle) && !is_registered(handle + 1));
	CHECK(is_registered(made) && oomreclaim_unregister(made) == 0);
	pool_fill(&pool, MIB);
	pool_clear(&pool);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"runpath", runpath},
		{"origin", origin},
		{"namespaces", namespaces},
		{"errors", errors},
		{"deep", deep},
		{"deep-kept", deep_kept},
		{"deep-elsewhere", deep_elsewhere},
		{"gone", gone},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
