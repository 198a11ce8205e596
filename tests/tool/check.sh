#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# check.sh TOOL WORKER CC INCLUDE LIBRARY: what oomreclaim check finds out about a program.
set -eu

tool=$1 worker=$2 cc=$3 include=$4 library=$5
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"

echo 'int main(void) { return 0; }' >"$tmp/empty.c"

# 1 where the program asks the library and is refused, 0 where it does not find it.
status_on()
{
	status=0
	LD_PRELOAD=$library "$1" >/dev/null 2>&1 || status=$?
	[ "$status" -eq 0 ] || status=1
	echo "$status"
}

# verdict_of STATUS PATTERN PROGRAM
verdict_of()
{
	expect "$1" "$tool" check "$3"
	is_like "^verdict:    $2" "$tmp/out"
}

verdict_of 0 'the preload works$' ls
is_like '^program:    /.*/ls$' "$tmp/out"
is_like '^format:     dynamic, by /.*ld-linux' "$tmp/out"
is_like "^malloc:     the system's$" "$tmp/out"
is_like '^callbacks:  none of its own' "$tmp/out"
verdict_of 0 'the preload works$' "$worker"
is_like '^callbacks:  it registers its own$' "$tmp/out"

! grep -q '^plugins:' "$tmp/out" || fail "plugins of a program that opens none"
verdict_of 0 'the preload works$' perl
is_like '^plugins:    what it opens with RTLD_DEEPBIND is opened without, unless deepbind:true$' "$tmp/out"

# Its callbacks, in a program that asks whether the library is there.
cat >"$tmp/optional.c" <<'SOURCE'
#include <oomreclaim.h>
int main(void)
{
	return oomreclaim_available() ? oomreclaim_register("none", 0, 0, 0, 0, 0) : 0;
}
SOURCE
for flags in '-fno-pie -no-pie' '-fPIE -no-pie' '-fPIE -pie'; do
	# shellcheck disable=SC2086
	$cc -DOOMRECLAIM_OPTIONAL -I"$include" $flags "$tmp/optional.c" -o "$tmp/optional"
	verdict_of 0 'the preload works$' "$tmp/optional"
	case $flags in
	-fno-pie*) is_like '^callbacks:  its own, which it does not register' "$tmp/out" ;;
	*) is_like '^callbacks:  it registers its own$' "$tmp/out" ;;
	esac
	[ "$(status_on "$tmp/optional")" = "$(grep -c 'registers its own$' "$tmp/out")" ] ||
		fail "optional, $flags: it does otherwise"
done

# ---- What does not work ----
$cc -static "$tmp/empty.c" -o "$tmp/static"
verdict_of 1 'the preload does not work: it is linked statically' "$tmp/static"
$cc -static-pie "$tmp/empty.c" -o "$tmp/static-pie"
verdict_of 1 'the preload does not work: it is linked statically' "$tmp/static-pie"
$cc "$tmp/empty.c" -Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1 -o "$tmp/musl"
verdict_of 1 'the preload does not work: it is linked with musl' "$tmp/musl"
printf '#include <stddef.h>\nvoid *malloc(size_t n) { return n ? NULL : NULL; }\n%s\n' \
	'int main(void) { return 0; }' >"$tmp/own.c"
$cc -fno-builtin -rdynamic "$tmp/own.c" -o "$tmp/own"
verdict_of 1 'the preload does not work: it brings a malloc of its own' "$tmp/own"
$cc -fsanitize=address "$tmp/empty.c" -o "$tmp/asan"
verdict_of 1 "the preload does not work: a sanitizer's runtime" "$tmp/asan"
# The beginning of a 32-bit program.
printf '\177ELF\001\001\001%57s' '' | tr ' ' '\000' >"$tmp/32"
chmod +x "$tmp/32"
verdict_of 1 'the preload does not work: it is for another machine or word length' "$tmp/32"

# Set-user-ID, of another user than the one who asks.
cp /bin/true "$tmp/set-id"
if [ "$(id -u)" -eq 0 ]; then
	chown 65534 "$tmp/set-id"
	chmod 4755 "$tmp/set-id"
	verdict_of 1 'the preload does not work: it runs with privileges' "$tmp/set-id"
	chown 0 "$tmp/set-id"
	chmod 4755 "$tmp/set-id"
	verdict_of 0 'the preload works$' "$tmp/set-id"
else
	verdict_of 1 'the preload does not work: it runs with privileges' su
fi

# ---- Allocators and scripts ----
verdict_of 0 'the preload works, in place of libjemalloc' redis-server
is_like '^malloc:     of libjemalloc' "$tmp/out"
printf '#!/usr/bin/env -S LANG=C sh\n' >"$tmp/script"
chmod +x "$tmp/script"
verdict_of 0 'the preload works$' "$tmp/script"
is_like "^script:     $tmp/script\$" "$tmp/out"
is_like '^program:    /.*/sh$' "$tmp/out"
is_like '^starts:     what the script starts has the library too' "$tmp/out"
printf '#!%s\n' "$tmp/static" >"$tmp/static-script"
chmod +x "$tmp/static-script"
verdict_of 1 'the preload does not work: it is linked statically' "$tmp/static-script"
printf '#!/bin/\033[2Jsh\n' >"$tmp/control"
chmod +x "$tmp/control"
expect 0 "$tool" check "$tmp/control"
is_like '^format:     no ELF file; ' "$tmp/out"
echo 'exit 0' >"$tmp/plain"
chmod +x "$tmp/plain"
expect 0 "$tool" check "$tmp/plain"
is_like '^format:     no ELF file; /bin/sh runs it$' "$tmp/out"
is_like '^starts:     what the script starts has the library too' "$tmp/out"

# ---- Programs of which more is known: by name, behind links, and by a library ----
# known_as NAME LABEL PATTERN [VERDICT]
known_as()
{
	cp "$worker" "$tmp/$1"
	verdict_of 0 "the preload works${4-}\$" "$tmp/$1"
	is_like "^$2: +$3" "$tmp/out"
	printf '#!%s\n' "$tmp/$1" >"$tmp/wrapper"
	chmod +x "$tmp/wrapper"
	verdict_of 0 "the preload works${4-}\$" "$tmp/wrapper"
	is_like "^$2: +$3" "$tmp/out"
	! grep -q '^starts:' "$tmp/out" || fail "$1: an interpreter that is known"
}
known_as java memory '.*-Xmx' ', but not for the memory that Java maps by itself'
known_as node memory '.*--max-old-space-size' ', but not for the memory that node maps by itself'
known_as php8.2 memory '.*USE_ZEND_ALLOC=0' ', but not for the memory that PHP maps by itself'
known_as python3.11 memory '.*PYTHONMALLOC=malloc'
known_as postgres memory '.*shared_buffers.*; run --total is for all of them together'
known_as redis-server policy 'abort '
mkdir "$tmp/links"
ln -s "$tmp/php8.2" "$tmp/links/interpreter"
verdict_of 0 'the preload works, but not for the memory that PHP maps by itself$' "$tmp/links/interpreter"
$cc -shared -fPIC -Wl,-soname,libpython3.99.so "$tmp/own.c" -o "$tmp/libpython3.99.so"
$cc -Wl,--no-as-needed "$tmp/empty.c" -o "$tmp/embeds" "$tmp/libpython3.99.so"
verdict_of 0 'the preload works$' "$tmp/embeds"
is_like '^memory: .*PYTHONMALLOC' "$tmp/out"
verdict_of 0 'the preload works$' ls
if grep -Eq '^(memory|policy|starts|LD_AUDIT):' "$tmp/out"; then
	fail "ls: more than is known"
fi

# ---- LD_AUDIT takes the room for thread-local storage; run sees to it that there is some ----
echo 'unsigned la_version(unsigned version) { return version; }' >"$tmp/audit.c"
$cc -shared -fPIC "$tmp/audit.c" -o "$tmp/audit.so"
expect 0 env LD_AUDIT="$tmp/audit.so" "$tool" check ls
is_like '^LD_AUDIT: .*GLIBC_TUNABLES=glibc.rtld.optional_static_tls=4096' "$tmp/out"
expect 0 env LD_AUDIT="$tmp/audit.so" GLIBC_TUNABLES=glibc.malloc.check=0 "$tool" run -- env
is_like '^GLIBC_TUNABLES=glibc.malloc.check=0:glibc.rtld.optional_static_tls=' "$tmp/out"
[ ! -s "$tmp/err" ] || fail "with LD_AUDIT: $(cat "$tmp/err")"
expect 0 env LD_AUDIT="$tmp/audit.so" GLIBC_TUNABLES=glibc.rtld.optional_static_tls=9999 "$tool" run -- env
is_like '^GLIBC_TUNABLES=glibc.rtld.optional_static_tls=9999$' "$tmp/out"
expect 0 "$tool" run -- env
! grep -q GLIBC_TUNABLES "$tmp/out" || fail "a tunable without LD_AUDIT"

# ---- Files that are damaged: an answer, whichever ----
for bytes in 0 1 4 5 20 63 64 65 200 1000 4000 8000 12000; do
	head -c $bytes "$worker" >"$tmp/cut"
	chmod +x "$tmp/cut"
	status=0
	"$tool" check "$tmp/cut" >"$tmp/out" 2>&1 || status=$?
	[ $status -le 1 ] || fail "cut off at $bytes bytes: status $status"
done
verdict
