/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two states whose collector is stopped, one with far more garbage: that one is collected, and the
 * other is left alone, as there is no need. Under modules:lua with the module in LD_PRELOAD, above
 * the watermark.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#define WAIT_SECONDS 60

static void run(lua_State *L, const char *text)
{
	if (luaL_dostring(L, text) != LUA_OK) {
		fprintf(stderr, "%s\n", lua_tostring(L, -1));
		exit(1);
	}
}

static lua_State *make(const char *garbage)
{
	lua_State *L = luaL_newstate();

	if (L == NULL)
		exit(1);
	luaL_openlibs(L);
	/* What goes is seen by a weak reference. */
	run(L, "collectgarbage('stop') weak = setmetatable({{}}, {__mode = 'v'})");
	run(L, garbage);
	return L;
}

/* Makes objects, as a program does that goes on. */
static bool is_collected(lua_State *L)
{
	bool is_gone;

	run(L, "for i = 1, 10 do local t = {} end return weak[1] == nil");
	is_gone = lua_toboolean(L, -1);
	lua_settop(L, 0);
	return is_gone;
}

int main(void)
{
	lua_State *little = make("for i = 1, 500 do local s = ('x'):rep(1000) .. i end"),
		  *much = make("for i = 1, 30000 do local s = ('x'):rep(1000) .. i end");
	time_t end = time(NULL) + WAIT_SECONDS;
	bool is_little_gone = false;

	while (!is_collected(much)) {
		is_little_gone |= is_collected(little);
		if (time(NULL) > end)
			return puts("not collected") < 0;
	}
	for (int i = 0; i < 1000; i++)
		is_little_gone |= is_collected(little);
	puts(is_little_gone ? "both collected" : "one collected");
	lua_close(much);
	lua_close(little);
	return 0;
}
