#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# queryserver.sh TOOL PROGRAM SCRIPT: the example of groups: where there is not enough for all, the greedy
# query ends and no other; and the table of its script.
set -eu

tool=$1 program=$2 script=$3
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"

number='[1-9][0-9]*'
# However slow the machine is, the others wait for long enough.
expect 0 "$tool" run --limit 128M --conf cancel_grace_ms:60000 -- "$program" --groups 64M --seconds 5
is_like "^small: $number done, 0 failed, 0 cancelled, latency ms: median [0-9.]+, 99% [0-9.]+; greedy: 0 done, [0-9]+ failed, $number cancelled\$" \
	"$tmp/out"
expect 0 "$program" --nobody-greedy --seconds 1
is_like "^small: $number done, 0 failed, 0 cancelled, latency ms: median [0-9.]+, 99% [0-9.]+\$" "$tmp/out"
expect 0 "$tool" run --limit 1G -- "$program" --groups 900M --enough --seconds 3
is_like "^small: $number done, 0 failed, 0 cancelled, latency ms: median [0-9.]+, 99% [0-9.]+; greedy: $number done, 0 failed, 0 cancelled\$" \
	"$tmp/out"
expect 2 "$program" --groups 64M
is_like '^queryserver: no groups of 64M$' "$tmp/err"
expect 2 "$program" --groups

expect 0 env OOMRECLAIM="$tool" "$script" "$program" 1
[ "$(wc -l <"$tmp/out")" -eq 7 ] || fail "not seven lines: $(cat "$tmp/out")"
for name in glibc 'a limit' groups 'groups .enough for all.' 'groups .nobody greedy.'; do
	is_like "^$name +$number +[0-9]+ +[0-9]+ +[0-9.]+ +[0-9.]+ +[0-9-]+ +[0-9-]+\$" "$tmp/out"
done
verdict
