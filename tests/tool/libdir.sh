#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# libdir.sh SOURCE-ROOT CC: configured for lib by the command of docs/containers.md, and for lib64, the library is
# installed there, and `oomreclaim run` takes that one, though another machine's lies in the other directory.
set -eu

source=$1 cc=$2
# For common.sh.
tool=
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"
unset DESTDIR

mkdir "$tmp/source"
for entry in "$source"/*; do
	case ${entry##*/} in
	build*) ;;
	*) cp -R "$entry" "$tmp/source/" ;;
	esac
done
cd "$tmp/source"
# Backquotes of Markdown:
# shellcheck disable=SC2016
setup=$(sed -n 's/.*`\(meson setup [^`]*\)`.*/\1/p' docs/containers.md)
[ -n "$setup" ] || fail "docs/containers.md: no meson setup"
# Of what the document is not about, as little as can be. A command is words.
# shellcheck disable=SC2086
CC=$cc $setup -Dtests=disabled -Ddebug_library=disabled -Dsqlite=disabled -Dpython=false -Ddefault_library=shared \
	-Db_lto=false -Doptimization=0 -Ddebug=false >"$tmp/log" 2>&1 || {
	cat "$tmp/log"
	exit 1
}

# try LIBDIR OTHER...: what is installed there, with files of that name that are none of ours in the others.
try()
{
	libdir=$1
	shift
	rm -rf "$tmp/root"
	meson install -C build --destdir "$tmp/root" >"$tmp/log" 2>&1 || {
		tail -n 20 "$tmp/log"
		exit 1
	}
	prefix=$tmp/root/usr/local
	[ -s "$prefix/$libdir/liboomreclaim.so.0" ] || fail "$libdir: no library there"
	tool=$prefix/bin/oomreclaim
	for other; do
		[ ! -e "$prefix/$other/liboomreclaim.so.0" ] || fail "$libdir: a library in $other"
		mkdir -p "$prefix/$other"
		echo "another machine's" >"$prefix/$other/liboomreclaim.so.0"
	done
	expect 0 "$tool" run --limit 64M -- env
	is_like "^LD_PRELOAD=$(realpath "$prefix/$libdir/liboomreclaim.so.0")\$" "$tmp/out"
	expect 0 "$tool" run --limit 64M -- grep -c liboomreclaim /proc/self/maps
	[ ! -s "$tmp/err" ] || fail "$libdir: $(cat "$tmp/err")"
}
multiarch=lib/$(uname -m)-linux-gnu
try lib lib64 "$multiarch"
meson configure build -Dlibdir=lib64 >"$tmp/log" 2>&1 || {
	cat "$tmp/log"
	exit 1
}
try lib64 lib "$multiarch"
verdict
