/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that each make, use and close Lua states, one after the other and with the collector
 * stopped, while oomreclaimd wants them collected. Says whether all were right and each was
 * collected at the end, within so many seconds.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#define THREADS 4
#define STATES 40

static const char load[] =
	"collectgarbage('stop') "
	"local sum, kept = 0, {} "
	"for i = 1, 20000 do "
	"  local t = {i, tostring(i), function() return i end} "
	"  local text = table.concat({t[2], ('x'):rep(200)}, ':') "
	"  if i % 40 == 0 then kept[#kept + 1] = {t, text} end "
	"  sum = sum + t[3]() "
	"end "
	"for i, k in ipairs(kept) do "
	"  assert(k[1][1] == i * 40 and k[2] == i * 40 .. ':' .. ('x'):rep(200)) "
	"end "
	"setmetatable({}, {__gc = function() for i = 1, 100 do kept[i] = {} end end}) "
	"return sum == 200010000";

/* Until what only a collection takes away is gone, or for `seconds`. */
static const char wait_for_it[] =
	"local weak, end_ = setmetatable({{}}, {__mode = 'v'}), os.time() + seconds "
	"while weak[1] and os.time() < end_ do "
	"  local garbage = {} "
	"  for i = 1, 20000 do garbage[i] = {('z'):rep(200) .. i} end "
	"end "
	"return not weak[1]";

static bool run(lua_State *L, const char *text)
{
	if (luaL_dostring(L, text)) {
		fprintf(stderr, "%s\n", lua_tostring(L, -1));
		return false;
	}
	return lua_toboolean(L, -1);
}

static void *work(void *seconds)
{
	bool is_right = true;

	for (int i = 0; i < STATES && is_right; i++) {
		lua_State *L = luaL_newstate();

		luaL_openlibs(L);
		lua_pushstring(L, seconds);
		lua_setglobal(L, "seconds");
		is_right = run(L, load) && (i + 1 < STATES || run(L, wait_for_it));
		lua_close(L);
	}
	return is_right ? seconds : NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	void *result;
	bool is_right = true;

	if (argc != 2)
		return 2;
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, argv[1]) != 0)
			return 2;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		is_right = is_right && result != NULL;
	}
	puts(is_right ? "collected" : "not collected");
	return 0;
}
