#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# check-exports.sh LIST SHARED MAP SYMBOLS LIBRARY...
# The libraries, shared or static, define what LIST names and nothing more, but
# for what SHARED names, which the shared library has as well; the version script
# MAP lists both, and so does Debian's file of SYMBOLS. A name too many lands in every program the library is preloaded
# into; one too few goes to glibc's heap.
set -eu

list=$1 shared=$2 map=$3 debian=$4
shift 4
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
LC_ALL=C
export LC_ALL

failures=0
# compare NAME FILE EXPECTED
compare()
{
	sort -u "$2" >"$tmp/sorted"
	if diff -u --label "$list" --label "$1" "$3" "$tmp/sorted"; then
		echo "$1: $(wc -l <"$tmp/sorted") names, as expected"
	else
		failures=$((failures + 1))
	fi
}

sort "$list" >"$tmp/expected"
sort "$list" "$shared" >"$tmp/expected-shared"
[ -s "$tmp/expected" ]

sed -e 's,/\*.*\*/,,' -e '/^local:/,$d' -n -e 's/^[[:space:]]*\([A-Za-z_0-9]*\);.*/\1/p' "$map" \
	>"$tmp/names"
compare "$map" "$tmp/names" "$tmp/expected-shared"

sed -n 's/^ \([A-Za-z_0-9]*\)@Base .*/\1/p' "$debian" >"$tmp/names"
compare "$debian" "$tmp/names" "$tmp/expected-shared"

for library; do
	case $library in
	*.a) kind=--extern-only expected=$tmp/expected ;;
	*) kind=--dynamic expected=$tmp/expected-shared ;;
	esac
	nm $kind --defined-only --format=posix "$library" >"$tmp/symbols"
	sed -n 's/^\([^ ]*\) [A-Za-z] .*/\1/p' "$tmp/symbols" >"$tmp/names"
	compare "$library" "$tmp/names" "$expected"
done
exit $failures
