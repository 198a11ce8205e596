#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# lua-module.sh LIBRARY MODULE THREADS SHARES: states whose collector is stopped, or slow, are collected
# when the heap is above the watermark, and what they hold stays right; without the module they are
# not. In the interpreters, which have Lua within them, and in THREADS, a program that is linked to
# the shared one, as is SHARES: no more states are collected than it takes.
set -eu

library=$1 module=$2 threads=$3 shares=$4
here=$(cd "$(dirname "$0")/.." && pwd)
unset LD_PRELOAD MALLOC_CONF OOMRECLAIM_CONF LUA_INIT LUA_INIT_5_3 LUA_INIT_5_4
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/oomreclaim"
cp -L "$library" "$tmp/liboomreclaim.so.0"
cp "$module" "$tmp/oomreclaim/lua.so"
ln -s oomreclaim/lua.so "$tmp/oomreclaim.so"
export LUA_CPATH="$tmp/?.so"
failures=0

# says LINE COMMAND...: as its only line.
says()
{
	expected=$1
	shift
	"$@" >"$tmp/out" 2>&1 || echo "status $?" >>"$tmp/out"
	[ "$(cat "$tmp/out")" = "$expected" ] || {
		echo "FAIL: $* says:"
		cat "$tmp/out"
		echo "and not: $expected"
		failures=1
	}
}

# above_high CONF COMMAND...: called by says().
# shellcheck disable=SC2317
above_high()
{
	conf=$1
	shift
	env LD_PRELOAD="$tmp/liboomreclaim.so.0" OOMRECLAIM_CONF="high:24M,$conf" "$@"
}

for lua in lua5.3 lua5.4; do
	says collected above_high modules:lua $lua -l oomreclaim "$here/lua.lua" 60
	# The script alone loads it, and a script alone has it.
	says collected above_high verbose:false $lua -l oomreclaim "$here/lua.lua" 60
	says 'not collected: stop' above_high modules:lua $lua "$here/lua.lua" 2
	says 'not collected: stop' env $lua -l oomreclaim "$here/lua.lua" 2
	says true above_high modules:lua $lua -e 'print((require "oomreclaim"))'
	says true above_high modules:lua $lua -e 'require "oomreclaim"; package.loaded.oomreclaim = nil
		print((require "oomreclaim"))'
	says 'liboomreclaim is not in this process' env $lua -e 'print((require "oomreclaim"))'
done
for argument in 70000 states; do
	says "oomreclaim: modules: $tmp/oomreclaim/lua.so: it refused to start; is its argument right?; left out
x" above_high modules:lua=$argument lua5.4 -e 'print("x")'
done

says 'not collected' above_high modules:lua "$threads" 2
says collected above_high modules:lua \
	env LD_PRELOAD="$tmp/liboomreclaim.so.0 $tmp/oomreclaim/lua.so" "$threads" 60

# Another is collected as well where the first was in the midst of it when it was looked at; not each time.
for _ in 1 2 3 4 5 6; do
	above_high low:23M,modules:lua=60000 \
		env LD_PRELOAD="$tmp/liboomreclaim.so.0 $tmp/oomreclaim/lua.so" "$shares" >"$tmp/shares" 2>&1 || break
	grep -qx 'both collected' "$tmp/shares" || break
done
says 'one collected' cat "$tmp/shares"

[ "$failures" -eq 0 ] && echo ok
exit "$failures"
