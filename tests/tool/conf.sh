#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# conf.sh TOOL: what oomreclaim conf says is in force.
set -eu

tool=$1
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"

expect 0 "$tool" conf
is_like '^policy +return +default +return +return\|abort\|kill$' "$tmp/out"
is_like '^log +- +default +- +a path$' "$tmp/out"
is_like '^jemalloc: MALLOC_CONF is ""; retain is (true|false), ' "$tmp/out"
expect 0 env OOMRECLAIM_CONF=policy:abort,wait_ms:5,policy:kill,,log: \
	"$tool" conf --conf wait_ms:6,oom_dump:/tmp
is_like '^policy +kill +OOMRECLAIM_CONF ' "$tmp/out"
is_like '^wait_ms +6 +--conf +1000 ' "$tmp/out"
is_like '^oom_dump +/tmp +--conf ' "$tmp/out"
is_like '^log +- +OOMRECLAIM_CONF ' "$tmp/out"
expect 0 env OOMRECLAIM_CONF=costly:order:4 "$tool" conf
is_like '^costly +order:4 +OOMRECLAIM_CONF ' "$tmp/out"

# ---- retain ----
expect 0 prlimit --as=unlimited:unlimited --data=unlimited:unlimited "$tool" conf
is_like "retain is true, jemalloc's default\$" "$tmp/out"
expect 0 prlimit --as=1073741824 "$tool" conf
is_like 'retain is false, since RLIMIT_AS or RLIMIT_DATA is set$' "$tmp/out"
expect 0 prlimit --as=unlimited:unlimited "$tool" conf --conf limit:1G
is_like "retain is true, jemalloc's default\$" "$tmp/out"
expect 0 env MALLOC_CONF=narenas:2,retain:true "$tool" conf --conf limit:1G
is_like '"narenas:2,retain:true"; retain is true, by MALLOC_CONF$' "$tmp/out"

# ---- Mistakes: what the library would say ----
expect 2 env OOMRECLAIM_CONF=polcy:kill,wait_ms:5 "$tool" conf
is_like '^oomreclaim: OOMRECLAIM_CONF: "polcy:kill": unknown setting; did you mean "policy"\?$' \
	"$tmp/err"
is_like '^wait_ms +5 +OOMRECLAIM_CONF ' "$tmp/out"
# As run does.
refuses 2 'run: "reserve:2G": more than 1G; .*' "$tool" run --conf reserve:2G true
expect 2 "$tool" conf --conf reserve:2G
is_like '^oomreclaim: --conf: "reserve:2G": more than 1G; ' "$tmp/err"
is_like '^reserve +1M +default ' "$tmp/out"

# ---- For programs ----
expect 0 env OOMRECLAIM_CONF='log:/a"b\c' "$tool" conf --json
/usr/bin/python3 - "$tmp/out" <<'END' || fail "--json"
import json, sys
rows = {row['key']: row for row in json.load(open(sys.argv[1]))}
assert len(rows) >= 20, len(rows)
assert rows['log']['value'] == '/a"b\\c', rows['log']
assert rows['log']['source'] == 'OOMRECLAIM_CONF'
assert rows['policy']['value'] == rows['policy']['default'] == 'return'
assert all(set(row) == {'key', 'value', 'source', 'default', 'values', 'meaning'}
           for row in rows.values())
END
expect 0 "$tool" conf --keys
[ "$(awk -F '\t' 'NF != 3' "$tmp/out" | wc -l)" -eq 0 ] || fail "--keys: not three fields"
is_like '^policy	return\|abort\|kill	' "$tmp/out"
verdict
