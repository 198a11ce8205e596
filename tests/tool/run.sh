#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# run.sh TOOL LIBRARY CC: what oomreclaim run hands to the program, and what it refuses.
set -eu

tool=$1 library=$(realpath "$2") cc=$3
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"

# ---- The environment ----
expect 0 "$tool" run -- env
is_like "^LD_PRELOAD=$library\$" "$tmp/out"
if grep -q '^OOMRECLAIM_CONF' "$tmp/out"; then
	fail "OOMRECLAIM_CONF without any setting"
fi
expect 0 "$tool" run --limit 64M --policy abort --reserve 2M --conf wait_ms:5,verbose:true --stats \
	--debug env
is_like '^OOMRECLAIM_CONF=limit:64M,policy:abort,reserve:2M,wait_ms:5,verbose:true,stats:true,verbose:true,report:always$' \
	"$tmp/out"
if [ -e "${library%.so.*}-debug.so.0" ]; then
	debug=$(realpath "${library%.so.*}-debug.so.0")
	is_like "^LD_PRELOAD=$debug\$" "$tmp/out"
	expect 0 "$tool" run --debug --conf lock_check:abort,dry_run:true -- true
else
	fail "no debug library was built"
fi
expect 0 env OOMRECLAIM_CONF=limit:1G "$tool" run --limit 64M -- env
is_like '^OOMRECLAIM_CONF=limit:1G,limit:64M$' "$tmp/out"
# shellcheck disable=SC2016
expect 0 "$tool" run --limit=64M -- sh -c 'printf "%s\n" "$@"' sh --limit '' 'a b'
printf '%s\n' --limit '' 'a b' | cmp - "$tmp/out" || fail "arguments are not passed on as they are"

# In front of what is there.
other=$(find /lib /usr/lib /lib64 -name 'libm.so.6' 2>/dev/null | head -n 1)
expect 0 env LD_PRELOAD="$other" "$tool" run env
is_like "^LD_PRELOAD=$library:$other\$" "$tmp/out"

# It is there, and in force.
expect 0 "$tool" run --limit 64M -- grep -c liboomreclaim /proc/self/maps
expect 1 "$tool" run --limit 64M -- /usr/bin/python3 -c 'bytearray(1 << 27)'
is_like '^MemoryError' "$tmp/err"

# ---- Limits ----
expect 0 "$tool" run --as 512M --data 128M -- cat /proc/self/limits
is_like '^Max address space +536870912 +536870912 ' "$tmp/out"
is_like '^Max data size +134217728 +134217728 ' "$tmp/out"
expect 0 "$tool" run --data 1T -- true
refuses 2 'run: --as 0: not a size .*' "$tool" run --as 0 true
refuses 2 'run: --as 1X: not a size .*' "$tool" run --as 1X true
for option in --as --data; do
	refuses 2 "run: $option 8191K: less than 8M, which a heap needs to start; .*" "$tool" run $option 8191K true
done
refuses 2 'run: "limit:8191K": less than 8M, which a heap needs to start; .*' "$tool" run --limit 8191K true
expect 0 "$tool" run --data 8M true
refuses 2 'run: --data -1: not a size .*' "$tool" run --data -1 true
refuses 2 'run: --as 99999999999T: not a size .*' "$tool" run --as 99999999999T true
if [ "$(id -u)" -eq 0 ]; then
	unprivileged='setpriv --reuid 65534 --regid 65534 --clear-groups'
else
	unprivileged=
fi
cp "$tool" "$library" "$tmp"
mv "$tmp/$(basename "$library")" "$tmp/liboomreclaim.so.0"
chmod 755 "$tmp" "$tmp/oomreclaim"
# Words:
# shellcheck disable=SC2086
refuses 1 'run: --as is above the hard limit that holds here; .*' \
	$unprivileged prlimit --as=4294967296:4294967296 "$tmp/oomreclaim" run --as 8G true

# ---- Settings are looked at before the program starts ----
refuses 2 'run: "limit:5X": unknown unit .*; see oomreclaim conf' "$tool" run --limit 5X true
refuses 2 'run: "policy:panic": none of return, abort, kill; .*' "$tool" run --policy panic true
refuses 2 'run: "polcy:kill": unknown setting; did you mean "policy"\?' \
	"$tool" run --conf polcy:kill true
refuses 2 'run: settings of more than [0-9]+ bytes; .*' \
	"$tool" run --conf "log:/$(printf '%5000s' '' | tr ' ' x)" true

# ---- The program ----
refuses 1 'no-such-program: not found in PATH; .*' "$tool" run no-such-program
refuses 1 '/no/such/program: No such file or directory; check the path' "$tool" run /no/such/program
refuses 1 '/: is a directory, not a program' "$tool" run /
refuses 1 "the program's name is empty; give one" "$tool" run ''
echo data >"$tmp/data"
refuses 1 ".*/data: not executable; chmod \\+x it, .*" "$tool" run "$tmp/data"
refuses 1 ".*/data: not executable; chmod \\+x it, .*" env PATH="$tmp:$PATH" "$tool" run data
printf '#!/no/such/interpreter\n' >"$tmp/script"
chmod +x "$tmp/script"
refuses 1 '/no/such/interpreter: No such file or directory; .*' "$tool" run "$tmp/script"
echo 'int main(void) { return 0; }' >"$tmp/empty.c"
$cc -static "$tmp/empty.c" -o "$tmp/static"
refuses 1 ".*/static: it is linked statically, .*" "$tool" run "$tmp/static"

# The status is the program's own; a signal's as well.
expect 7 "$tool" run -- sh -c 'exit 7'
# shellcheck disable=SC2016
expect 143 sh -c '"$@" & wait $!' sh "$tool" run -- sh -c 'kill -TERM $$'

# ---- The library ----
refuses 1 '/no/such.so: No such file or directory; name the library with --library' \
	"$tool" run --library /no/such.so true
mkdir "$tmp/with blank"
cp "$library" "$tmp/with blank/lib.so"
refuses 1 ".*/lib.so: LD_PRELOAD can't hold a path with blanks or colons; .*" \
	"$tool" run --library "$tmp/with blank/lib.so" true
expect 0 "$tmp/oomreclaim" run env
is_like "^LD_PRELOAD=$tmp/liboomreclaim.so.0\$" "$tmp/out"
verdict
