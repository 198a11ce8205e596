#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# valgrind.sh LIBRARY A program under valgrind's memcheck, which has a malloc() of its own: it runs,
# and one line says that the library has no part in it.
set -eu

library=$1
command -v valgrind >/dev/null || {
	echo "skipped: valgrind is not installed"
	exit 77
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
LD_PRELOAD=$library valgrind --quiet /bin/echo alive >"$tmp/out" 2>"$tmp/err"
[ "$(cat "$tmp/out")" = alive ]
if [ "$(cat "$tmp/err")" != "oomreclaim: malloc() does not come here, as under valgrind: nothing is reclaimed" ]; then
	echo "FAIL: not that line alone"
	cat "$tmp/err"
	exit 1
fi
