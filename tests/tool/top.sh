#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# top.sh TOOL WORKER: oomreclaim top in a pipe, and on a terminal that script(1) makes.
set -eu

tool=$1 worker=$2
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"
escape=$(printf '\033')

# seen COMMAND: in a terminal of 30 lines and 100 columns.
seen()
{
	script -qefc "stty rows 30 cols 100; $1" /dev/null >"$tmp/screen" || fail "$1: status $?"
	tr -d '\r' <"$tmp/screen" | sed "s/$escape\[/\n&/g" >"$tmp/out"
}

start "$tool" run --limit 48M --stats -- "$worker"
wait_for_worker "$pid"

# ---- In a pipe: plain text, once unless told otherwise ----
expect 0 "$tool" top "$pid"
[ "$(grep -c '^process ' "$tmp/out")" -eq 1 ] || fail "not once"
expect 0 "$tool" top -d 0.1 -n 3 "$pid"
[ "$(grep -c '^process ' "$tmp/out")" -eq 3 ] || fail "not three times"
if grep -q "$escape" "$tmp/out"; then
	fail "escape sequences in a pipe"
fi
expect 0 "$tool" top
is_like '^ +PID ALLOCATED RESIDENT ' "$tmp/out"
is_like "^ *$pid +[0-9.]+[KM] .* 48\.0M +[0-9]+ +1 +0 NULL +worker\$" "$tmp/out"

# ---- On a terminal: in place, and the terminal is left as it was ----
seen "'$tool' top -d 0.1 -n 3 $pid </dev/null"
is_like "^$escape\[\?1049h" "$tmp/out"
is_like "^$escape\[\?1049l\$" "$tmp/out"
[ "$(grep -c "^$escape\[Hprocess   $pid (worker)" "$tmp/out")" -eq 3 ] || fail "not three frames"
is_like '^          \[#+[.#]+\] [0-9]+%' "$tmp/out"
seen "'$tool' top -d 0.1 -n 1 $pid; stty -a"
is_like '(^|[ ;])icanon' "$tmp/out"
is_like '(^|[ ;])echo ' "$tmp/out"

# What does not fit is cut off.
seen "stty rows 5 cols 20; '$tool' top -n 1 $pid </dev/null"
is_like "^$escape\[Hprocess   .{10}\$" "$tmp/out"
[ "$(grep -c "^$escape\[K\$" "$tmp/out")" -eq 4 ] || fail "not four lines"

# q ends it.
printf q | script -qefc "'$tool' top -d 3600 $pid" /dev/null >"$tmp/screen" || fail "q: status $?"

# Control-Z leaves the terminal to the shell as it was, until it is called back.
/usr/bin/python3 "$(dirname "$0")/suspend.py" "$tool" "$pid" || fail "Control-Z"

# ---- The process ends ----
mkfifo "$tmp/frames"
"$tool" top -d 0.1 -n 1000000 "$pid" >"$tmp/frames" &
top_pid=$!
children="$children $top_pid"
{
	read -r line
	kill -9 "$pid"
	cat >"$tmp/out"
} <"$tmp/frames"
wait $top_pid || fail "top: status $? when its process ends"
[ "${line%% *}" = process ] || fail "first line: $line"
is_like "^process $pid has ended\$" "$tmp/out"

# So it has when its parent has not noticed.
start_zombie "$tool" run --stats -- "$worker"
wait_for_worker "$zombie"
"$tool" top -d 0.1 -n 1000000 "$zombie" >"$tmp/frames" &
top_pid=$!
children="$children $top_pid"
{
	read -r line
	kill_zombie
	cat >"$tmp/out"
} <"$tmp/frames"
wait $top_pid || fail "top: status $? when its process is a zombie"
is_like "^process $zombie has ended\$" "$tmp/out"
verdict
