#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# check-exports.sh LIST MAP LIBRARY...
# The libraries, shared or static, define what LIST names and nothing more, and
# the version script MAP lists the same. A name too many lands in every program
# the library is preloaded into; one too few goes to glibc's heap.
set -eu

list=$1 map=$2
shift 2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
LC_ALL=C
export LC_ALL

failures=0
# compare NAME FILE
compare()
{
	sort -u "$2" >"$tmp/sorted"
	if diff -u --label "$list" --label "$1" "$tmp/expected" "$tmp/sorted"; then
		echo "$1: $(wc -l <"$tmp/sorted") names, as expected"
	else
		failures=$((failures + 1))
	fi
}

sort "$list" >"$tmp/expected"
[ -s "$tmp/expected" ]

sed -e 's,/\*.*\*/,,' -e '/^local:/,$d' -n -e 's/^[[:space:]]*\([A-Za-z_0-9]*\);.*/\1/p' "$map" \
	>"$tmp/names"
compare "$map" "$tmp/names"

for library; do
	case $library in
	*.a) kind=--extern-only ;;
	*) kind=--dynamic ;;
	esac
	nm $kind --defined-only --format=posix "$library" >"$tmp/symbols"
	sed -n 's/^\([^ ]*\) [A-Za-z] .*/\1/p' "$tmp/symbols" >"$tmp/names"
	compare "$library" "$tmp/names"
done
exit $failures
