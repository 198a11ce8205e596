#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# outside.sh BUILD PREFIX LIBDIR SOURCE-ROOT CC CXX: installed elsewhere, the library is found by
# pkg-config and by CMake, and every example builds by itself, and runs.
set -eu

build=$1 prefix=$2 libdir=$3 source=$4 cc=$5 cxx=$6
# For common.sh.
tool=
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"

meson install -C "$build" --no-rebuild --destdir "$tmp/root" >"$tmp/log" 2>&1 || {
	cat "$tmp/log"
	exit 1
}
root=$tmp/root$prefix
here=$(cd "$(dirname "$0")" && pwd)
cp -r "$source/examples" "$tmp/examples"
cd "$tmp/examples"
export LD_LIBRARY_PATH="$root/$libdir" PKG_CONFIG_PATH="$root/$libdir/pkgconfig"
# What pkg-config says is for where it was meant to be installed.
flags()
{
	pkg-config --define-variable=prefix="$root" "$@" oomreclaim
}

# By hand. Compilers and flags are words.
# shellcheck disable=SC2046,SC2086
{
	for name in bufferpool caches filecache prefork queryserver targets; do
		$cc -D_GNU_SOURCE -O2 $(flags --cflags) -o $name $name.c -pthread || fail "$name"
	done
	$cc -D_GNU_SOURCE -O2 $(flags --cflags) -o dead deadlock/deadlock.c -pthread || fail deadlock
	$cc -O2 $(flags --cflags) -o graceful graceful.c $(flags --libs) || fail graceful
	$cxx -std=c++17 -O2 $(flags --cflags) -o images images.cpp || fail images
	$cxx -std=c++17 -O2 $(flags --cflags) -o pmr pmr.cpp || fail pmr
	$cc -D_GNU_SOURCE -O2 -shared -fPIC $(flags --cflags) -o mine.so module/mine.c || fail mine
	sed 's/return oomreclaim_register(.*/return (void)reclaim, 0;/' module/mine.c >"$tmp/keeps.c"
	$cc -D_GNU_SOURCE -O2 -shared -fPIC $(flags --cflags) -o "$tmp/keeps.so" "$tmp/keeps.c" || fail keeps
}

# 30 MiB of files.
mkdir "$tmp/tree"
for i in $(seq 120); do
	head -c 262144 /dev/zero >"$tmp/tree/$i"
done

# run_all DIRECTORY: each does without the library, and better with it.
run_all()
{
	tool=$root/bin/oomreclaim
	expect 0 "$1/bufferpool"
	is_like '^made [0-9]+, reused [1-9][0-9]*, given up 0, failed 0; then got 64 MiB$' "$tmp/out"
	expect 0 "$tool" run --limit 40M -- "$1/bufferpool"
	is_like 'given up [1-9][0-9]*, failed [0-9]+; then got [1-9][0-9]* MiB$' "$tmp/out"
	expect 0 "$1/caches"
	is_like '^pages: 64000 KiB, lost 0 KiB$' "$tmp/out"
	expect 0 "$tool" run --limit 32M -- "$1/caches"
	is_like '^failed: 0$' "$tmp/out"
	# What costs four times as much is kept four times as much of, within a tenth.
	awk '{ kib[$1] = $2 } END { part = kib["pages:"] / kib["thumbnails:"]; exit part < 3.6 || part > 4.4 }' \
		"$tmp/out" || fail "the parts of caches: $(cat "$tmp/out")"
	expect 0 "$1/filecache" --requests 5000 "$tmp/tree"
	is_like '^reclaimed: 0 bytes$' "$tmp/out"
	expect 0 "$tool" run --limit 20M -- "$1/filecache" --requests 5000 "$tmp/tree"
	is_like '^reclaimed: [1-9][0-9]* bytes$' "$tmp/out"
	is_like '^result: finished$' "$tmp/out"
	# With a target next to nothing is reclaimed, and as much is kept.
	expect 0 "$1/filecache" --target --requests 5000 "$tmp/tree"
	expect 0 "$tool" run --limit 20M --stats -- "$1/filecache" --target --requests 5000 "$tmp/tree"
	is_like '^result: finished$' "$tmp/out"
	is_like '^reclaimed: [1-9][0-9]* bytes$' "$tmp/out"
	expect 0 "$1/targets"
	is_like '^profiles: [0-9]+ KiB, 9[0-9] % of [0-9]+ from the cache$' "$tmp/out"
	expect 0 "$tool" run --limit 16M -- "$1/targets"
	# The one that has four times as many requests has at least twice as much, and less than all.
	awk '{ kib[$1] = $2 } END { exit kib["profiles:"] < 2 * kib["answers:"] || kib["answers:"] < 256 }' \
		"$tmp/out" || fail "the parts of targets: $(cat "$tmp/out")"
	expect 0 "$1/prefork" 8 4 4
	is_like '^parent: got 8 of 8 MiB, 0 of 2 children died$' "$tmp/out"
	expect 0 "$1/images"
	cp "$tmp/out" "$tmp/total"
	# Each once.
	awk '{ exit $2 != $6 }' "$tmp/out" || fail "images without a limit: $(cat "$tmp/out")"
	expect 0 "$tool" run --limit 40M -- "$1/images"
	awk '{ exit $2 <= 2 * $6 }' "$tmp/out" || fail "images: $(cat "$tmp/out")"
	[ "$(cut -d: -f1 "$tmp/out")" = "$(cut -d: -f1 "$tmp/total")" ] || fail "images: another sum"
	expect 0 "$1/pmr"
	is_like '^total [0-9]+, [1-9][0-9]* remembered, 0 forgotten$' "$tmp/out"
	cp "$tmp/out" "$tmp/total"
	expect 0 "$tool" run --limit 24M -- "$1/pmr"
	is_like ', [1-9][0-9]* forgotten$' "$tmp/out"
	[ "$(cut -d, -f1 "$tmp/out")" = "$(cut -d, -f1 "$tmp/total")" ] || fail "pmr: another total"
	expect 0 "$1/graceful"
	is_like '^on oomreclaim [0-9]' "$tmp/out"
	is_like '^saved [1-9][0-9]* records$' "$tmp/out"
	is_like 'constraint=BUDGET, policy=kill$' "$tmp/err"
	expect 0 "$tool" run --limit 64M --conf "modules:$1/mine.so=10" -- true
	[ ! -s "$tmp/err" ] || fail "mine.so: $(cat "$tmp/err")"
	# What its cache takes is missing where it does not register its callback.
	expect 0 "$tool" run --limit 64M --conf "modules:$1/mine.so=20" -- /usr/bin/python3 -c 'bytearray(50 << 20)'
	expect 1 "$tool" run --limit 64M --conf "modules:$tmp/keeps.so=20" -- /usr/bin/python3 -c 'bytearray(50 << 20)'
}

# prefork's line in README.md, in a group of as many MiB as it says.
try_prefork()
{
	# Backquotes of Markdown:
	# shellcheck disable=SC2016
	line=$(sed -n 's/^| \[prefork.c\].* MemoryMax=\([0-9]*\)M .*`oomreclaim run --conf \([^ ]*\) -- \([^`]*\)`.*/\1 \2 \3/p' \
		README.md)
	# Words, one for each child:
	# shellcheck disable=SC2086
	set -- $line
	[ $# -gt 4 ] || exit 1
	mib=$1 conf=$2
	shift 2
	# shellcheck source=tests/preload/cgroup.sh
	. "$here/../preload/cgroup.sh"
	make_group "$mib"
	in_group "$conf" "$root/$libdir/liboomreclaim.so.0" "$@"
}
run_all "$PWD"
expect 0 "$root/bin/oomreclaim" run -- ./dead trylock
is_like '^20000 entries$' "$tmp/out"
status=0
(try_prefork) >"$tmp/out" 2>"$tmp/err" || status=$?
case $status in
0) is_like '^child 5 \(48 MiB, oom_score_adj 300\) died of signal 9$' "$tmp/out" ;;
77) echo "prefork: no memory cgroup to be had here" ;;
*) fail "prefork: $(cat "$tmp/out" "$tmp/err")" ;;
esac

# Each has a line that says what it is for.
for name in *.c *.cpp */*.c container/* systemd/*; do
	grep -qF "]($name)" README.md || fail "README.md: no $name"
done
# What the containers' recipe sets is right.
conf=$(sed -n 's/^ENV OOMRECLAIM_CONF=//p' container/Containerfile)
[ -n "$conf" ] || fail "Containerfile: no settings"
expect 0 "$root/bin/oomreclaim" conf --conf "$conf"
[ ! -s "$tmp/err" ] || fail "Containerfile: $(cat "$tmp/err")"

if ! cmake -S . -B out -Doomreclaim_DIR="$root/$libdir/cmake/oomreclaim" >"$tmp/log" 2>&1 ||
	! cmake --build out >>"$tmp/log" 2>&1; then
	fail "cmake"
	cat "$tmp/log"
fi
run_all "$PWD/out"
verdict
