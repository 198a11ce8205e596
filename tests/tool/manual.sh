#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# manual.sh TOOL ROOT: the manuals are well formed, and say all that there is: every setting, every
# option, every function.
set -eu

tool=$1 root=$2
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"

for page in "$root"/man/*.[135]; do
	page=${page##*/}
	# What other manuals the machine has is not this one's fault.
	mandoc -Tlint -Wstyle "$root/man/$page" 2>&1 |
		grep -Ev 'referenced manual not found|outdated mandoc\.db' >"$tmp/lint" || :
	if [ -s "$tmp/lint" ]; then
		fail "$page"
		cat "$tmp/lint"
	fi
	# A macro that does not begin its line is printed, and mandoc does not say so.
	! grep -En '^[^.].* \.[A-Z][a-z] ' "$root/man/$page" || fail "$page: a macro within a line"
	mandoc -Tascii "$root/man/$page" >"$tmp/text"
	[ "$(wc -l <"$tmp/text")" -gt 40 ] || fail "$page: $(wc -l <"$tmp/text") lines"
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
sed -n '/^#ifdef OOM_DEBUG/,/^#endif/s/^[[:space:]]*{{"\([a-z_]*\)".*/\1/p' "$root/src/config/options.c" | sort >"$tmp/known"
[ -s "$tmp/known" ] || fail "no settings of the debug library"
sed -n '/^\.Ss liboomreclaim-debug/,$s/^\.It Cm \([a-z_]*\) :.*/\1/p' "$root/man/oomreclaim.conf.5" >"$tmp/found"
same "oomreclaim.conf.5: liboomreclaim-debug.so.0" "$tmp/found"
cp "$tmp/release" "$tmp/known"
# Backquotes of Markdown:
# shellcheck disable=SC2016
sed -n 's/^| `\([a-z_]*\)` *|.*/\1/p' "$root/docs/settings.md" >"$tmp/found"
same docs/settings.md "$tmp/found"

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

for command in run check conf top stat export ctl symbolize; do
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

# Each function's own page has its prototype, as the header has it, and what its structures consist
# of.
/usr/bin/python3 - "$root" <<'END' || fail "pages of functions"
import pathlib, re, subprocess, sys

def words(text):
    return re.findall(r"\w+|[*()]", text)

root = pathlib.Path(sys.argv[1])
header = re.sub(r"/\*.*?\*/", " ", (root / "include/oomreclaim.h").read_text(), flags=re.S)
pages = {path.name: re.sub(".\b", "", subprocess.check_output(["mandoc", "-Tascii", path], text=True))
         for path in (root / "man").glob("oomreclaim_*.3")}
prototypes = {match[1]: match[0] for match in
              re.finditer(r"^OOMRECLAIM_API\s+[^;]*?(oomreclaim_\w+)\([^;]*\);", header, flags=re.M)}
assert len(prototypes) > 20, prototypes
groups = {}
for name, prototype in prototypes.items():
    if name == "oomreclaim_version":
        continue
    having = [page for page, text in pages.items() if re.search(r"^NAME\n.*\b%s\b.*^LIBRARY" % name, text, re.M | re.S)]
    assert len(having) == 1, (name, having)
    groups[name] = having[0]
    synopsis = pages[having[0]].split("\nSYNOPSIS\n")[1].split("\nDESCRIPTION\n")[0]
    wanted = " ".join(words(prototype.removeprefix("OOMRECLAIM_API")))
    assert wanted in " ".join(words(synopsis)), (wanted, synopsis)
for struct, members in re.findall(r"^struct oomreclaim_(\w+) \{(.*?)^\};", header, flags=re.M | re.S):
    page = " ".join(text for text in pages.values() if "oomreclaim_" + struct in text)
    for member in re.findall(r"(\w+)(?:\[\w+\])?;", members):
        assert re.search(r"\b%s\b" % member, page), (struct, member)
# And is found under its name.
build = (root / "man/meson.build").read_text()
for name, page in groups.items():
    assert re.search(r"'%s': \[[^\]]*\]" % page.removesuffix(".3"), build), page
    assert name + ".3" == page or re.search(r"'%s': \[[^\]]*'%s'" % (page.removesuffix(".3"), name), build), name
END
verdict
