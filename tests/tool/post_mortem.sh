#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# post_mortem.sh TOOL LIBRARY CRASHER CGROUP: what oomreclaim run --post-mortem says of programs that
# end badly, and that it is nothing between the program and those that start it.
set -eu

tool=$1 library=$2 crasher=$3 cgroup=$4
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"

# ended STATUS OPTION... -- COMMAND...: its stderr is in $tmp/err, without a shell's lines.
ended()
{
	expected=$1 status=0
	shift
	"$tool" run --post-mortem --library "$library" "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
	[ "$status" -eq "$expected" ] || fail "$*: status $status, not $expected"
}

is_silent()
{
	[ ! -s "$tmp/err" ] || {
		fail "it says:"
		cat "$tmp/err"
	}
}

at='[0-9-]+ [0-9:.]+ +[0-9]+'
ended 139 --limit 48M -- "$crasher" unchecked
is_like '^oomreclaim: post-mortem: crasher \([0-9]+\), SIGSEGV: a crash of the program; just before, a request for 1048576 bytes was refused \(constraint BUDGET\): it was not ready for that$' "$tmp/err"
is_like '^  heap, [0-9.]+ s ago: charged 4[0-9.]+M, peak 4[0-9.]+M, limit 48\.0M, .*; [1-9][0-9]* failures, 1 refused$' "$tmp/err"
is_like '^  killed by the kernel, before and after: ' "$tmp/err"
is_like "^$at failure      1048576 bytes, from the program\+0x[0-9a-f]+\$" "$tmp/err"

ended 134 -- "$crasher" abort
is_like '^oomreclaim: post-mortem: crasher .*, SIGABRT: abort\(\) by the program or its libraries; no request was refused before$' "$tmp/err"
is_like '^  last events: none$' "$tmp/err"

ended 134 --limit 48M --policy abort --conf costly:off,report:never -- "$crasher" unchecked
is_like '^oomreclaim: post-mortem: crasher .*, SIGABRT: ended by its policy, abort, since there was no memory for 1048576 bytes \(constraint BUDGET\)$' "$tmp/err"
# What the handler of SIGABRT asked for is not why it came.
ended 134 --limit 48M --policy abort --conf costly:off,report:never -- "$crasher" handled
is_like '^oomreclaim: post-mortem: crasher .*, SIGABRT: ended by its policy, abort, since there was no memory for 1048576 bytes \(constraint BUDGET\)$' "$tmp/err"
is_like "^$at failure      100000 bytes, " "$tmp/err"
# Nor does it take the place of what was before.
sed -n '/^  last events:$/,/^  and after that:$/p' "$tmp/err" >"$tmp/before"
sed -n '/^  and after that:$/,$p' "$tmp/err" >"$tmp/after"
is_like "^$at failure      1048576 bytes, " "$tmp/before"
[ "$(tail -n 2 "$tmp/before" | head -n 1 | grep -Ec ' kill +SIGABRT to process [0-9]+$')" -eq 1 ] ||
	fail "the end is not the last of: $(cat "$tmp/before")"
! grep -E ' 1048576 bytes| kill ' "$tmp/after" || fail "behind the end is what was before"
is_like "^$at failure      100000 bytes, " "$tmp/after"
# One that crashes is no other reason.
ended 139 --limit 48M --policy abort --conf costly:off,report:never -- "$crasher" breaks
is_like '^oomreclaim: post-mortem: crasher .*, SIGSEGV: a crash [0-9.]+ s after its policy, abort, had sent SIGABRT, since there was no memory for 1048576 bytes \(constraint BUDGET\)$' "$tmp/err"
# Nor is what it got the last word, where the program ends itself.
ended 134 --limit 48M -- "$crasher" aborts
is_like '^oomreclaim: post-mortem: crasher .*, SIGABRT: abort\(\) by the program or its libraries; just before, a request for 1048576 bytes was refused \(constraint BUDGET\): it was not ready for that$' "$tmp/err"
is_like "^$at verdict .*served" "$tmp/err"
ended 137 --limit 48M --policy kill --conf costly:off,report:never -- "$crasher" unchecked
is_like '^oomreclaim: post-mortem: crasher .*, SIGKILL: ended by its policy, kill, since there was no memory for 1048576 bytes \(constraint BUDGET\)$' "$tmp/err"

# A page from before its end, or none: of a program that ends at once.
ended 134 -- sh -c 'kill -ABRT $$'
is_like '^oomreclaim: post-mortem: sh .*, SIGABRT: abort\(\) by the program or its libraries' "$tmp/err"

# ---- Others do it ----
child_of()
{
	until child=$(cat "/proc/$1/task/$1/children") && [ -n "$child" ]; do
		sleep 0.05
	done
	child=${child% }
}
# behind OPTION... COMMAND...: in the background; sets $pid and $child.
behind()
{
	: >"$tmp/out"
	"$tool" run --post-mortem --library "$library" "$@" >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	children="$children $pid"
	until [ -s "$tmp/out" ]; do
		sleep 0.05
	done
	child_of "$pid"
}
# is_over STATUS
is_over()
{
	status=0
	wait "$pid" 2>/dev/null || status=$?
	[ "$status" -eq "$1" ] || fail "status $status, not $1"
}
behind -- "$crasher" wait
kill -9 "$child"
is_over 137
is_like '^oomreclaim: post-mortem: crasher .*, SIGKILL: killed by another process' "$tmp/err"

# ---- In between it is not to be noticed ----
ended 9 --limit 48M -- "$crasher" checked
is_silent
behind -- "$crasher" term
kill -TERM "$pid"
is_over 4
is_silent
behind -- "$crasher" wait
kill -TERM "$pid"
is_over 143
is_silent
# As a job of a shell: stopped with its program, and continued.
behind -- "$crasher" stopped
until grep -q '^State:.*stopped' "/proc/$pid/status"; do
	sleep 0.05
done
kill -CONT "$pid"
is_over 3
is_silent
ended 1 -- "$tmp/nothing"
# shellcheck disable=SC2016
ended 3 -- sh -c 'read -r line; [ "$line" = text ] && exit 3' <<END
text
END

# ---- The kernel ----
in_a_group()
{
	# shellcheck source=tests/preload/cgroup.sh
	. "$cgroup"
	make_group 48
	echo "$group" >"$tmp/group"
	in_group '' '' "$tool" run --post-mortem --library "$library" -- "$crasher" unchecked \
		>/dev/null 2>"$tmp/err"
}
status=0
(in_a_group) || status=$?
if [ "$status" -ne 77 ]; then
	[ "$status" -eq 137 ] || fail "in a group of 48 MiB: status $status"
	is_like "^oomreclaim: post-mortem: crasher .*, SIGKILL: killed by the kernel's OOM killer: the group met its limit of 48\.0M, [0-9.]+M of it for this heap [0-9.]+ s before; set limit:auto, and the program is asked before\$" "$tmp/err"
	is_like "^  group: $(cat "$tmp/group"), limit 48\.0M\$" "$tmp/err"
	is_like '^  killed by the kernel, before and after: 0 and 1 in the group, ' "$tmp/err"
fi
verdict
