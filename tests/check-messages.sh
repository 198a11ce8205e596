#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# check-messages.sh SOURCE-DIRECTORY DOCUMENT...
# Every line that the library prints is in one of the documents: of each, its longest piece without a
# conversion.
set -eu

src=$1
shift
found=$(mktemp)
trap 'rm -f "$found"' EXIT
# A format that goes on in the next line counts by its beginning.
cat "$src"/*.c "$src"/*/*.c | tr '\n' ' ' | grep -oE 'io_warn\([^"]*"([^"\\]|\\.)*"' |
	sed -E 's/io_warn\([^"]*"(.*)"/\1/; s/\\"/"/g' |
	awk '{ count = split($0, piece, /%[-.*0-9a-z]*[sdu]/); best = ""
		for (i = 1; i <= count; i++) if (length(piece[i]) > length(best)) best = piece[i]
		print best }' | sort -u >"$found"
[ "$(wc -l <"$found")" -ge 10 ] || {
	echo "FAIL: no messages found in $src"
	exit 1
}
missing=0
while IFS= read -r piece; do
	piece=$(printf '%s' "$piece" | sed 's/^ *//; s/ *$//')
	# Of what is put together from others only punctuation is left.
	[ "${#piece}" -ge 6 ] || continue
	grep -qF -- "$piece" "$@" || {
		echo "FAIL: not in $*: $piece"
		missing=1
	}
done <"$found"
exit $missing
