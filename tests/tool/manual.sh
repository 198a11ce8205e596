#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# manual.sh TOOL ROOT: the manuals are well formed, and say all that there is: every setting, every option,
# every function.
set -eu

tool=$1 root=$2
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"

for page in oomreclaim.1 oomreclaim.3 oomreclaim.conf.5; do
	# What other manuals the machine has is not this one's fault.
	mandoc -Tlint -Wstyle "$root/man/$page" 2>&1 |
		grep -Ev 'referenced manual not found|outdated mandoc\.db' >"$tmp/lint" || :
	if [ -s "$tmp/lint" ]; then
		fail "$page"
		cat "$tmp/lint"
	fi
	mandoc -Tascii "$root/man/$page" >"$tmp/text"
	[ "$(wc -l <"$tmp/text")" -gt 50 ] || fail "$page: $(wc -l <"$tmp/text") lines"
done

# same NAME FILE: it has the lines of $tmp/known, in whatever order.
same()
{
	sort -u "$2" | diff -u --label known --label "$1" "$tmp/known" - || fail "$1"
}

"$tool" conf --keys | cut -f 1 | sort >"$tmp/known"
[ -s "$tmp/known" ]
sed -n '1,/^\.Ss liboomreclaim-debug/s/^\.It Cm \([a-z_]*\) :.*/\1/p' "$root/man/oomreclaim.conf.5" >"$tmp/found"
same oomreclaim.conf.5 "$tmp/found"
cp "$tmp/known" "$tmp/release"
sed -n '/^#ifdef OOM_DEBUG/,/^#endif/s/^[[:space:]]*{{"\([a-z_]*\)".*/\1/p' "$root/src/options.c" | sort >"$tmp/known"
[ -s "$tmp/known" ] || fail "no settings of the debug library"
sed -n '/^\.Ss liboomreclaim-debug/,$s/^\.It Cm \([a-z_]*\) :.*/\1/p' "$root/man/oomreclaim.conf.5" >"$tmp/found"
same "oomreclaim.conf.5: liboomreclaim-debug.so.0" "$tmp/found"
cp "$tmp/release" "$tmp/known"
# Backquotes of Markdown:
# shellcheck disable=SC2016
sed -n 's/^| `\([a-z_]*\)` *|.*/\1/p' "$root/README.md" >"$tmp/found"
same README.md "$tmp/found"

# Of each setting, its default.
"$tool" conf --json >"$tmp/conf"
mandoc -Tascii "$root/man/oomreclaim.conf.5" | sed "s/.$(printf '\b')//g" | tr -s ' \n' ' ' >"$tmp/text"
/usr/bin/python3 - "$tmp/conf" "$tmp/text" <<'END' || fail "defaults in oomreclaim.conf.5"
import json, re, sys
text = open(sys.argv[2]).read()
for row in json.load(open(sys.argv[1])):
    entry = text.split(' ' + row['key'] + ':', 1)[1]
    default = re.search(r'Default: (\S+?)[.,] ', entry)
    assert not row['default'] or default[1] == row['default'], (row, default)
END

for command in run check conf top stat; do
	"$tool" $command --help
done | grep -Eo -e '--[a-z]+' | grep -vx -e --help | sort -u >"$tmp/known"
[ -s "$tmp/known" ]
grep -Eo 'Fl -[a-z]+|, -[a-z]+|\| -[a-z]+' "$root/man/oomreclaim.1" | sed 's/.* -/--/' |
	grep -vx -e --help -e --version >"$tmp/found"
same oomreclaim.1 "$tmp/found"

grep '^oomreclaim_' "$root/tests/exports.txt" | sort >"$tmp/known"
sed -n -e 's/^\.F[no] \(oomreclaim_[a-z_]*\).*/\1/p' -e 's/.*Va \(oomreclaim_conf\).*/\1/p' \
	"$root/man/oomreclaim.3" | grep -vx oomreclaim_available >"$tmp/found"
same oomreclaim.3 "$tmp/found"
verdict
