#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# check-claims.sh SRC: what CONTRIBUTING.md says of the sources is so. Comments are left out.
set -eu

src=$1
failed=0

# code: all sources, FILE:LINE in front of each line, without comments.
code()
{
	find "$src" -name '*.[ch]' | sort | while read -r file; do
		sed -e ':join' -e '/\/\*/{ /\*\//!{ N; b join' -e '} }' -e 's|/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/||g' "$file" |
			sed "s|^|${file#"$src"/}: |"
	done
}

# only WHAT PATTERN ALLOWED: no file has PATTERN but those that match ALLOWED; and each of ALLOWED
# does.
only()
{
	what=$1 pattern=$2
	shift 2
	grep -E "$pattern" "$tmp" >"$tmp.found" || :
	for allowed; do
		grep -qE "^$allowed: " "$tmp.found" || {
			echo "FAIL: $what: $allowed does not, so it need not be allowed to"
			failed=1
		}
		grep -vE "^$allowed: " "$tmp.found" >"$tmp.left" || :
		mv "$tmp.left" "$tmp.found"
	done
	[ ! -s "$tmp.found" ] || {
		echo "FAIL: $what:"
		cat "$tmp.found"
		failed=1
	}
}

tmp=$(mktemp)
trap 'rm -f "$tmp" "$tmp.found" "$tmp.left"' EXIT
code >"$tmp"
[ "$(wc -l <"$tmp")" -gt 5000 ] || {
	echo "FAIL: no sources in $src"
	failed=1
}

# Memory of the heap; the page of counters and the total are shared memory, and the table of groups has no blocks.
# heap_glue.h has the names as macros.
only 'maps or gives back memory' '(^|[^a-z_])(mmap|munmap|madvise|sbrk|mremap)\(' \
	limits/pages.c limits/group.c limits/total_join.c report/stats_page.c heap/heap_glue.h
only 'includes what jemalloc is inside' '#include "(jemalloc/|heap/heap_(fast|glue)\.h)' \
	'heap/[a-z_]*\.[ch]' 'entry/[a-z_]*\.c' 'entry/interpose_aligned\.h'
only 'includes jemalloc itself' '#include "jemalloc/' 'heap/[a-z_]*\.[ch]'
exit $failed
