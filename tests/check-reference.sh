#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# check-reference.sh SOURCE-ROOT EXPORTS: the API reference is made without a warning, and
# everything public in it is described.
set -eu

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"$1/script/api-reference" "$tmp" >"$tmp/out"
[ -s "$(cat "$tmp/out")" ]
/usr/bin/python3 - "$tmp/xml" "$2" <<'END'
import pathlib, sys
import xml.etree.ElementTree as tree

described, plain = set(), set()
for path in pathlib.Path(sys.argv[1]).glob("*.xml"):
    for member in tree.parse(path).iter():
        name = member.findtext("name") or member.findtext("compoundname")
        if member.tag in ("memberdef", "enumvalue", "compounddef") and name:
            text = "".join("".join(part.itertext()) for tag in ("briefdescription", "detaileddescription")
                           for part in member.findall(tag))
            (described if text.strip() else plain).add(name)
with open(sys.argv[2]) as exports:
    functions = {line.strip() for line in exports if line.startswith("oomreclaim_")}
public = functions | {name for name in plain | described if name.startswith("OOMRECLAIM_")}
public -= {"OOMRECLAIM_OPTIONAL", "OOMRECLAIM_API", "OOMRECLAIM_H", "OOMRECLAIM_HPP", "OOMRECLAIM_MODULE_H",
           # Of three lines that belong together the first has the comment.
           "OOMRECLAIM_VERSION_MINOR", "OOMRECLAIM_VERSION_PATCH", "OOMRECLAIM_MODULE_C", "OOMRECLAIM_MODULE"}
missing = sorted(public - described)
assert len(functions) > 20 and len(public) > 45, (len(functions), len(public))
assert not missing, missing
for name in ("bytes_wanted", "oomreclaim::registration", "oomreclaim::scope",
             "oomreclaim::kill_disabled", "oomreclaim::scoped_resource"):
    assert name in described, name
END
echo ok
