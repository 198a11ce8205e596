#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# groups.sh TOOL TENANTS: the groups of another process, in all forms.
set -eu

tool=$1 tenants=$2
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"

# wait_for_groups PID: until its page has the failure that comes last.
wait_for_groups()
{
	until "$tool" stat --json "$1" | grep -q '"refused": [12],'; do
		kill -0 "$1"
		sleep 0.1
	done
}

start "$tool" run --stats --conf report:always -- "$tenants" 2>"$tmp/report"
wait_for_groups "$pid"

# ---- Text: a tree, by what is charged ----
tree='^groups +charged +own +peak +max +max met +threads +name
^ +4\.[0-9]+M +0 +4\.[0-9]+M +none +0 +0  tenants$
^ +3\.[0-9]+M +3\.[0-9]+M +[34]\.[0-9]+M +4\.00M +[1-9][0-9]* +1    large$
^ +1\.[0-9]+M +1\.[0-9]+M +1\.[0-9]+M +none +0 +0    small$
^ +[0-9.]+K +[0-9.]+K +[0-9.]+K +none +0 +0  a "job"$'
for command in stat top; do
	expect 0 "$tool" $command "$pid"
	sed -n '/^groups/,$p' "$tmp/out" >"$tmp/tree"
	[ "$(wc -l <"$tmp/tree")" -eq 5 ] || fail "$command: not five lines: $(cat "$tmp/tree")"
	line=0
	echo "$tree" >"$tmp/patterns"
	while read -r pattern; do
		line=$((line + 1))
		sed -n "${line}p" "$tmp/tree" >"$tmp/line"
		is_like "$pattern" "$tmp/line"
	done <"$tmp/patterns"
done

# ---- JSON ----
expect 0 "$tool" stat --json "$pid"
/usr/bin/python3 - "$tmp/out" <<'END' || fail "--json"
import json, sys
stats = json.load(open(sys.argv[1]))
assert stats['groups'] == 4
groups = stats['group']
assert [one['path'] for one in groups] == ['/tenants', '/tenants/large', '/tenants/small', '/a "job"']
tenants, large, small, job = groups
assert [one['depth'] for one in groups] == [0, 1, 1, 0]
assert len({one['group'] for one in groups}) == 4
assert tenants['charged'] >= large['charged'] + small['charged'] and tenants['children'] == 2
assert large['max'] == 4 << 20 and small['max'] is None and tenants['max'] is None
assert 3 << 20 <= large['allocated'] <= large['charged'] == large['own'] <= large['peak'] <= 4 << 20
assert large['max_met'] >= 1 and small['max_met'] == 0 and large['threads'] == 1
assert all(one['policy'] == 'return' for one in groups)
assert stats['last_constraint'] == 'GROUP'
END

# ---- Prometheus ----
expect 0 "$tool" stat --prometheus "$pid"
/usr/bin/python3 - "$tmp/out" "$pid" <<'END' || fail "--prometheus"
import re, sys
values = {}
for line in open(sys.argv[1]):
    match = re.fullmatch(r'(oomreclaim_groups?\w*)\{pid="(\d+)",name="tenants"(?:,group="((?:[^"\\]|\\["\\])*)",number="(\d+)")?\} (\d+)\n',
                         line)
    if match:
        assert match[2] == sys.argv[2] and (match[1], match[3]) not in values, line
        values[match[1], match[3]] = int(match[5])
    else:
        assert not line.startswith('oomreclaim_group'), line
assert values['oomreclaim_groups', None] == 4
assert values['oomreclaim_group_max_bytes', '/tenants/large'] == 4 << 20
assert ('oomreclaim_group_max_bytes', '/tenants') not in values
assert values['oomreclaim_group_max_met_total', '/tenants/large'] >= 1
assert values['oomreclaim_group_charged_bytes', '/tenants'] >= 4 << 20
assert 100 << 10 <= values['oomreclaim_group_charged_bytes', '/a \\"job\\"'] < 1 << 20
END

# ---- Events, and the report ----
expect 0 "$tool" stat --events "$pid"
is_like '^[0-9-]+ [0-9:.]+ +[0-9]+ group        large has 3\.[0-9]+M charged, of at most 4\.00M$' "$tmp/out"
is_like '^  Memory group stats for /tenants/large:$' "$tmp/report"
is_like '^  \[ +3[0-9]{3} +3[0-9]{3} +3[0-9]{3} +[34][0-9]{3} +4096 +[1-9][0-9]* +1 \] large$' "$tmp/report"
! grep -q small "$tmp/report" || fail "the report shows another group: $(cat "$tmp/report")"
kill -9 "$pid"

# ---- More than there is room for: those with the most ----
start "$tool" run --stats -- "$tenants" 10000
wait_for_groups "$pid"
expect 0 "$tool" stat "$pid"
is_like '^          \.\.\. and 9940 more, with less charged$' "$tmp/out"
[ "$(sed -n '/^groups/,$p' "$tmp/out" | wc -l)" -eq 66 ] || fail "not 64 groups: $(cat "$tmp/out")"
[ "$(sed -n '/^groups/,$p' "$tmp/out" | sed -n '2,5s/.*  //p' | tr '\n' ,)" = 'tenants,large,small,a "job",' ] ||
	fail "not the largest ones first: $(cat "$tmp/out")"
expect 0 "$tool" stat --json "$pid"
/usr/bin/python3 -c 'import json, sys
stats = json.load(open(sys.argv[1]))
assert stats["groups"] == 10004 and len(stats["group"]) == 64' "$tmp/out" || fail "--json of many"
verdict
