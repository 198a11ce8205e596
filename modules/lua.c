/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The module lua: has the states of Lua 5.3 and 5.4 make a full collection, even where it is
 * stopped or slow. It is a shrinker, and asks as many states as it takes, those with most garbage
 * first.
 *
 * Only a state's own thread may collect it, and lua_sethook() from another one is a data race. But
 * where its allocator returns NULL Lua makes an emergency collection, there and then, and asks once
 * more. So this stands between a state and its allocator, with a flag that oomreclaimd sets: where
 * it is set, the next request for an object gets NULL the first time.
 *
 * For an object only, that is where there is no old block and its size is the type of the new one.
 * Who asks for anything else may be no part of Lua's core: luaL_Buffer and libraries call the
 * allocator themselves, and take NULL for the end. Nor does a collector in the midst of its work
 * make objects (5.3 would then start another within it).
 *
 * A state comes here by luaL_newstate(), where this file is in LD_PRELOAD beside the library, or by
 * require "oomreclaim", for interpreters that have Lua within them: it is a Lua module as well.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "await.h"
#include "oomreclaim_module.h"

#define EXPORT __attribute__((visibility("default")))

/* As lua.h of 5.3 and 5.4 has them: one file for both, and no header needed. */
struct lua_State;
typedef void *lua_alloc(void *ud, void *block, size_t old_bytes, size_t new_bytes);
#define LUA_REGISTRYINDEX (-1001000)
#define LUA_RIDX_MAINTHREAD 1
#define LUA_TSTRING 4U
#define LUA_TTHREAD 8U

EXPORT struct lua_State *luaL_newstate(void);
EXPORT int luaopen_oomreclaim(struct lua_State *L);

struct state {
	lua_alloc *inner;
	const struct lua_State *main;
	atomic_bool is_wanted; /* a collection; set by oomreclaimd, cleared by the state's thread */
	bool is_collected; /* the state's thread: NULL was returned, the same request comes again */
	/* Since it came here, less what it freed: below 0 where that was from before. Written by
	   the state's thread; relaxed, as each stands for itself. */
	_Atomic long bytes;
	_Atomic long used_bytes; /* of these, what the last collection left */
	LIST_ENTRY(state) all;
};

static LIST_HEAD(, state) states = LIST_HEAD_INITIALIZER(states);
/* Of the list. Nothing is allocated while it is held: the callback takes it. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
/* The callback is registered. */
static atomic_bool is_on;

/* A state may be small, or have all its memory from before it came here. */
#define GARBAGE_LEAST 4096
/* What was in use may be so no longer. */
#define GARBAGE_SHIFT 3

/* What may be garbage. Nobody knows before a collection: all that was taken since the last one,
   perhaps. */
static size_t garbage_of(struct state *state)
{
	long used = atomic_load_explicit(&state->used_bytes, memory_order_relaxed),
	     since = atomic_load_explicit(&state->bytes, memory_order_relaxed) - used, least;

	least = used >> GARBAGE_SHIFT > GARBAGE_LEAST ? used >> GARBAGE_SHIFT : GARBAGE_LEAST;
	return (size_t)(since > least ? since : least);
}

static size_t count_garbage(void)
{
	struct state *state;
	size_t bytes = 0;

	pthread_mutex_lock(&list_lock);
	LIST_FOREACH(state, &states, all)
		bytes += garbage_of(state);
	pthread_mutex_unlock(&list_lock);
	return bytes;
}

/* Those that have at least so much, until `bytes` are found; returns how many are. With the list's
   lock held. */
static size_t want_from(size_t least_bytes, size_t bytes)
{
	struct state *state;
	size_t found = 0;

	LIST_FOREACH(state, &states, all) {
		size_t garbage = garbage_of(state);

		if (found >= bytes)
			break;
		/* Relaxed: nothing but the flag itself is handed over. */
		if (garbage < least_bytes ||
		    atomic_exchange_explicit(&state->is_wanted, true, memory_order_relaxed))
			continue;
		found += garbage;
	}
	return found;
}

static bool want_collections(const char *what, size_t bytes)
{
	size_t garbage = 0, count = 0, found;
	struct state *state;

	(void)what;
	pthread_mutex_lock(&list_lock);
	LIST_FOREACH(state, &states, all) {
		garbage += garbage_of(state);
		count++;
	}
	/* First those that have more than most. */
	found = count > 0 ? want_from(garbage / count, bytes) : 0;
	if (found < bytes)
		found += want_from(0, bytes - found);
	pthread_mutex_unlock(&list_lock);
	/* Those that were told before, and make no objects, are not waited for once more. */
	return found > 0;
}

/* ---- A state's allocator ----------------------------------------------- */

static bool may_refuse(struct state *state)
{
	if (state->is_collected) {
		/* What was wanted during the collection has been answered by it. To be refused
		   twice is an error in the program. */
		state->is_collected = false;
		atomic_store_explicit(&state->used_bytes,
		                      atomic_load_explicit(&state->bytes, memory_order_relaxed),
		                      memory_order_relaxed);
		atomic_store_explicit(&state->is_wanted, false, memory_order_relaxed);
	} else if (atomic_load_explicit(&state->is_wanted, memory_order_relaxed)) {
		state->is_collected = true;
	}
	return state->is_collected;
}

static void count_bytes(struct state *state, long bytes)
{
	atomic_store_explicit(&state->bytes,
	                      atomic_load_explicit(&state->bytes, memory_order_relaxed) + bytes,
	                      memory_order_relaxed);
}

/* The block that has the main thread in it is the last that a state frees. */
static bool is_main(const struct state *state, const void *block, size_t bytes)
{
	uintptr_t main = (uintptr_t)state->main, start = (uintptr_t)block;

	return start <= main && main - start < bytes;
}

static void *alloc(void *ud, void *block, size_t old_bytes, size_t new_bytes)
{
	struct state *state = ud;
	void *result;

	if (block == NULL && old_bytes >= LUA_TSTRING && old_bytes <= LUA_TTHREAD &&
	    new_bytes > 0 && may_refuse(state))
		return NULL;
	result = state->inner(NULL, block, old_bytes, new_bytes);
	/* Where there is no block the old size is the type of the new one. */
	if (result != NULL || new_bytes == 0)
		count_bytes(state, (long)new_bytes - (block != NULL ? (long)old_bytes : 0));
	if (block != NULL && new_bytes == 0 && is_main(state, block, old_bytes)) {
		pthread_mutex_lock(&list_lock);
		LIST_REMOVE(state, all);
		pthread_mutex_unlock(&list_lock);
		free(state);
	}
	return result;
}

/* ---- Finding states ---------------------------------------------------- */

/* As the object that has this code sees it: there may be several Luas in a process, some of them
   out of sight for everybody else. */
static void *find(const void *code, const char *name)
{
	struct link_map *map = NULL;
	Dl_info info;
	void *object, *found;

	if (dladdr1(code, &info, (void **)&map, RTLD_DL_LINKMAP) == 0)
		return NULL;
	object = dlopen(map->l_name[0] != '\0' ? map->l_name : NULL, RTLD_LAZY | RTLD_NOLOAD);
	if (object == NULL)
		return NULL;
	found = dlsym(object, name);
	dlclose(object);
	return found;
}

/* 5.3 brought the one; with the other, of 5.5, the registry is somewhere else. */
static bool is_known(const void *lua)
{
	return find(lua, "lua_isinteger") != NULL && find(lua, "luaL_openselectedlibs") == NULL;
}

static struct lua_State *main_thread(const void *lua, struct lua_State *L)
{
	int (*rawgeti)(struct lua_State *, int, long long);
	struct lua_State *(*tothread)(struct lua_State *, int), *main;
	void (*settop)(struct lua_State *, int);

	*(void **)&rawgeti = find(lua, "lua_rawgeti");
	*(void **)&tothread = find(lua, "lua_tothread");
	*(void **)&settop = find(lua, "lua_settop");
	if (rawgeti == NULL || tothread == NULL || settop == NULL)
		return NULL;
	rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
	main = tothread(L, -1);
	settop(L, -2);
	return main;
}

/* `lua` is code in the object that L's functions are in. Returns NULL, or why not. */
static const char *adopt(const void *lua, struct lua_State *L)
{
	lua_alloc *(*getallocf)(struct lua_State *, void **), *inner;
	void (*setallocf)(struct lua_State *, lua_alloc *, void *);
	struct lua_State *main;
	struct state *state;
	void *ud = NULL;

	if (!is_known(lua))
		return "not for this Lua: 5.3 and 5.4 only";
	*(void **)&getallocf = find(lua, "lua_getallocf");
	*(void **)&setallocf = find(lua, "lua_setallocf");
	main = main_thread(lua, L);
	if (getallocf == NULL || setallocf == NULL || main == NULL)
		return "this Lua does not export its functions";
	inner = getallocf(L, &ud);
	if (inner == alloc)
		return NULL;
	/* By lua_getallocf() a program may look for it. */
	if (ud != NULL)
		return "the allocator of this state has data of its own";
	state = calloc(1, sizeof *state);
	if (state == NULL)
		return "no memory";
	state->inner = inner;
	state->main = main;
	pthread_mutex_lock(&list_lock);
	LIST_INSERT_HEAD(&states, state, all);
	pthread_mutex_unlock(&list_lock);
	setallocf(L, alloc, state);
	return NULL;
}

struct lua_State *luaL_newstate(void)
{
	struct lua_State *(*next)(void), *L;

	/* The caller's own, which may be out of sight for everybody else, or else the one after
	   this. */
	*(void **)&next = find(__builtin_return_address(0), "luaL_newstate");
	if (next == NULL || next == luaL_newstate)
		*(void **)&next = dlsym(RTLD_NEXT, "luaL_newstate");
	L = next != NULL ? next() : NULL;
	if (L != NULL && atomic_load(&is_on))
		(void)adopt((const void *)(uintptr_t)next, L);
	return L;
}

/* ---- Start ------------------------------------------------------------- */

/* A child may make a state while another thread of the parent had the list. */
static void fork_prepare(void)
{
	pthread_mutex_lock(&list_lock);
}

static void fork_done(void)
{
	pthread_mutex_unlock(&list_lock);
}

static int start(const char *argument)
{
	int error;

	if (*await_what(argument) != '\0')
		return EINVAL;
	error = await_register("lua", argument, count_garbage, want_collections);
	if (error != 0)
		return error;
	/* Without them only a child that is forked in the midst of making a state is at risk. */
	(void)pthread_atfork(fork_prepare, fork_done, fork_done);
	atomic_store(&is_on, true);
	return 0;
}

static void start_by_require(void)
{
	if (oomreclaim_available() && !atomic_load(&is_on))
		(void)start("");
}

/* Returns true to the script, or why nothing will happen: that is no reason to end it. */
int luaopen_oomreclaim(struct lua_State *L)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const void *lua = __builtin_return_address(0);
	void (*pushstring)(struct lua_State *, const char *);
	void (*pushboolean)(struct lua_State *, int);
	const char *problem;

	*(void **)&pushstring = find(lua, "lua_pushstring");
	*(void **)&pushboolean = find(lua, "lua_pushboolean");
	if (pushstring == NULL || pushboolean == NULL)
		return 0;
	pthread_once(&once, start_by_require);
	problem = atomic_load(&is_on) ? adopt(lua, L) : "liboomreclaim is not in this process";
	if (problem != NULL)
		pushstring(L, problem);
	else
		pushboolean(L, 1);
	return 1;
}

OOMRECLAIM_MODULE(argument)
{
	return start(argument);
}
