#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# top.sh TOOL WORKER: oomreclaim top in a pipe, and on terminals that script(1) and tmux make.
set -eu

tool=$1 worker=$2
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"
TERM=xterm-256color
export TERM
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
seen "strace -o '$tmp/trace' -e trace=openat '$tool' top -d 0.1 -n 3 $pid </dev/null"
is_like "^$escape\[\?1049h" "$tmp/out"
is_like "^$escape\[\?1049l" "$tmp/out"
is_like "process   $pid \(worker\)" "$tmp/out"
# Looked at once to see whether it may be, and for each frame.
[ "$(grep -c "\"/proc/$pid/fd\"" "$tmp/trace")" -eq 4 ] || fail "not three frames"
seen "'$tool' top -d 0.1 -n 1 $pid; stty -a"
is_like '(^|[ ;])icanon' "$tmp/out"
is_like '(^|[ ;])echo ' "$tmp/out"
# A terminal that is not known, and none of its own: as in a pipe.
seen "TERM=no-such-terminal '$tool' top -d 0.1 -n 2 $pid"
[ "$(grep -c '^process ' "$tmp/out")" -eq 2 ] || fail "an unknown terminal: not two frames"
! grep -q "$escape" "$tmp/out" || fail "an unknown terminal: escape sequences"

# Colours: red for what was refused, none where NO_COLOR is set.
red="^$escape\[([0-9;]*;)?31m"
seen "'$tool' top -d 0.1 -n 1 </dev/null"
is_like "$red *1" "$tmp/out"
seen "NO_COLOR= '$tool' top -d 0.1 -n 1 </dev/null"
is_like "$red *1" "$tmp/out"
seen "NO_COLOR=1 '$tool' top -d 0.1 -n 1 </dev/null"
! grep -Eq "^$escape\[([0-9;]*;)?3[0-7](;[0-9;]*)?m" "$tmp/out" || fail "colours in spite of NO_COLOR"

# ---- What is on it, and what keys do ----
TMUX_TMPDIR=$tmp
export TMUX_TMPDIR
tm()
{
	tmux -L top -f /dev/null "$@"
}

# on COLUMNS ROWS COMMAND: on a terminal of that size.
on()
{
	tm new-session -d -x "$1" -y "$2" "$3"
	session=$(tm list-sessions -F '#{session_id}' | tail -n 1)
}

# shows PATTERN...: sooner or later, all of them at once. As it was the last time: $tmp/shown.
shows()
{
	for _ in $(seq 100); do
		tm capture-pane -p -t "$session" >"$tmp/shown"
		is_all=yes
		for pattern; do
			grep -Eq -e "$pattern" "$tmp/shown" || is_all=no
		done
		[ $is_all = no ] || return 0
		sleep 0.1
	done
	fail "not all of $* on the terminal:"
	cat "$tmp/shown"
}

press()
{
	tm send-keys -t "$session" "$@"
}

# shows_pids PID...: the processes of the list are these, from above.
shows_pids()
{
	for _ in $(seq 100); do
		tm capture-pane -p -t "$session" >"$tmp/shown"
		pids=$(awk '$1 ~ /^[0-9]+$/ && $2 ~ /^[0-9.]+[KM]$/ { printf "%s ", $1 }' "$tmp/shown")
		[ "$pids" != "$* " ] || return 0
		sleep 0.1
	done
	fail "not $* on the terminal:"
	cat "$tmp/shown"
}

# A process with a limit, and a parent with little whose child has more than that; with a name in their
# commands that no other process of the machine has.
first=$pid
name=top$$
ln -s "$(realpath "$worker")" "$tmp/$name"
start "$tool" run --limit 48M --stats -- "$tmp/$name"
small=$pid
wait_for_worker "$small"
# shellcheck disable=SC2016
start "$tool" run --stats -- perl -e 'if (fork() == 0) { exec $ARGV[0], "second"; } sleep 1000;' "$tmp/$name"
parent=$pid
child=$(cat "/proc/$parent/task/$parent/children")
child=${child% }
children="$children $child"
wait_for_worker "$child"

on 80 16 "'$tool' top -d 0.2"
press / $name Enter
shows "^3 processes by CHARGED with $name: [0-9.]+M charged, " \
	'^ +PID CHARGED LIM% +LIMIT +LEFT RESIDENT  FAILED REFUSED COMMAND' \
	"^ *$small +4[0-9.]+M +[0-9]+% +48[.]0M .* $name\$" "^ *$child .* $name second\$" \
	"^ *$parent .* perl -e " '^qQuit hHelp /Filter tTree <>Sort IInvert EnterShow'
shows_pids "$child" "$small" "$parent"
press I
shows_pids "$parent" "$small" "$child"
press N
shows '^3 processes by -PID'
press I
# Words:
# shellcheck disable=SC2046
shows_pids $(printf '%s\n' "$small" "$parent" "$child" | sort -n)
# The next columns: CHARGED, and LIM%, of which one process has any.
press '>' '>'
shows '^3 processes by LIM%'
grep -E '^ *[0-9]+ +[0-9.]+[KM] ' "$tmp/shown" | head -n 1 | grep -q "^ *$small " || fail "sorted by LIM%"
press '<' '<' '<'
shows '^3 processes by COMMAND'
shows_pids "$parent" "$small" "$child"
# What is typed is added to the filter, in capitals or not; Esc takes it away.
press / Space S e C x
shows "^Filter: $name SeCx_" '^no process with that in its command'
press BSpace Enter
shows "^1 process by COMMAND with $name SeC: "
shows_pids "$child"
press Escape
shows '^[0-9]+ processes by COMMAND: '
press / $name Enter M t
# The parent's sum has the child's in it.
shows "^ *$child +[0-9.]+M .*[\`]-$name" ' TREE '
awk -v parent="$parent" -v child="$child" '$1 == parent { sum = $2 + 0; own = $3 + 0 } $1 == child { below = $2 + 0 }
	END { exit !(own < 40 && below > 60 && sum >= below && sum < below + own + 1) }' "$tmp/shown" ||
	fail "sums of the tree: $(cat "$tmp/shown")"
press h
shows '^keys ' '^colours ' '^qQuit EscBack hHelp'
press Escape
shows '^3 processes by CHARGED'
# One process, and back.
press Home Enter
shows "^process +[0-9]+ \\(($name|perl)\\), oomreclaim " '^callbacks ' '^qQuit EscBack'
press Escape
shows '^3 processes by CHARGED'
# Narrow: what matters is there.
press t
tm resize-window -t "$session" -x 50 -y 12
shows '^ +PID CHARGED LIM% REFUSED COMMAND$' "^ *$child .* 1 $name second\$" '^qQuit hHelp /Filter '
press q
for _ in $(seq 100); do
	tm has-session -t "$session" 2>/dev/null || break
	sleep 0.1
done
! tm has-session -t "$session" 2>/dev/null || fail "q does not end it"

# One process: what does not fit goes on in the next row, and what is below is reached.
on 40 6 "'$tool' top -d 0.2 $small"
shows "^process   $small \\($name\\)," '^ {10}.*policy return' '^heap      '
for _ in $(seq 40); do
	press Down
done
shows '^ {10}.*the "cache"' '^qQuit EscBack hHelp'
[ "$(awk 'length > 40' "$tmp/shown" | wc -l)" -eq 0 ] || fail "wider than the terminal"
on 100 30 "'$tool' top -d 0.2 $small"
shows '^          \[#+[.#]+\] [0-9]+%'
tm kill-server
kill -9 "$parent" "$child" "$small"
pid=$first

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

# Of the totals that do not fit there is the number.
for _ in 1 2 3; do
	start "$tool" run --total 128M --stats -- "$tmp/$name"
	wait_for_worker "$pid"
done
on 80 16 "'$tool' top -d 0.2"
shows '^Total [0-9.]+M of [0-9.]+M, [0-9]+%, [0-9]+ processes   and [1-9][0-9]* more$'
press q
verdict
