#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# symbolize.sh TOOL LIBRARY SOURCE CC: the stack of a failing allocation, in the report and in the events, and what
# becomes of it with the functions' names. SOURCE is stacks.c.
set -eu

tool=$1 library=$2 source=$3 cc=$4
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"
if [ "$(uname -m)" != x86_64 ]; then
	echo "skipped: the stack is walked on x86_64 alone"
	exit 77
fi

# Words.
# shellcheck disable=SC2086
for flags in "-O2 -fomit-frame-pointer" "-O0 -fno-omit-frame-pointer" "-O2 -fomit-frame-pointer -no-pie"; do
	$cc $flags -g -fno-builtin -o "$tmp/stacks" "$source"
	OOMRECLAIM_CONF=limit:64M,report:always LD_PRELOAD=$library "$tmp/stacks" end 2>"$tmp/report" >"$tmp/out"
	sed -n '/^  stack: /,/^  heap:/p' "$tmp/report" | grep -v heap: >"$tmp/stack"
	[ "$(grep -Ec '^( stack:| {8}) .*\+0x[0-9a-f]+$' "$tmp/stack")" -ge 6 ] || fail "$flags: $(cat "$tmp/report")"
	"$tool" symbolize <"$tmp/report" >"$tmp/out"
	# In this order: the place itself, its callers, and what libc has between them.
	sed -n 's/.*\/stacks+0x[0-9a-f]*  \([a-z_]*\) at .*\/stacks\.c:[0-9]*$/\1/p' "$tmp/out" | tr '\n' ' ' >"$tmp/order"
	[ "$(cat "$tmp/order")" = "leaf compare middle main " ] || {
		fail "$flags: $(cat "$tmp/order")"
		cat "$tmp/out"
	}
	is_like '/libc\.so\.6\+0x[0-9a-f]+' "$tmp/stack"
	# Nothing else is changed.
	sed 's/\(+0x[0-9a-f]*\)  .*/\1/' "$tmp/out" | diff "$tmp/report" - >/dev/null || fail "$flags: other lines have changed"
done

# Without addr2line: the file's symbols. (/bin has it, and what the shell needs is built in.)
PATH=/nonexistent "$tool" symbolize <"$tmp/report" >"$tmp/out"
is_like '/stacks\+0x[0-9a-f]+  leaf(\.[a-z.0-9]+)?\+0x[0-9a-f]+$' "$tmp/out"
is_like '/stacks\+0x[0-9a-f]+  main\+0x[0-9a-f]+$' "$tmp/out"
# And without these: the line as it is.
strip "$tmp/stacks" -o "$tmp/stripped"
sed 's/\/stacks+/\/stripped+/' "$tmp/report" >"$tmp/report.stripped"
PATH=/nonexistent "$tool" symbolize <"$tmp/report.stripped" >"$tmp/out"
is_like '/stripped\+0x[0-9a-f]+$' "$tmp/out"

# ---- Events: names without directories ----
start "$tool" run --library "$library" --limit 64M --stats -- "$tmp/stacks"
until "$tool" stat --events "$pid" >"$tmp/events" && grep -q ' frame ' "$tmp/events"; do
	sleep 0.1
done
"$tool" symbolize --pid "$pid" <"$tmp/events" >"$tmp/out"
is_like ' failure .* bytes, from the program\+0x[0-9a-f]+  leaf at .*/stacks\.c:[0-9]+$' "$tmp/out"
is_like ' frame +0: the program\+0x[0-9a-f]+  leaf at ' "$tmp/out"
is_like ' frame +1: the program\+0x[0-9a-f]+  compare at ' "$tmp/out"
is_like ' frame +2: libc\.so\.6\+0x[0-9a-f]+' "$tmp/out"
is_like ': the program\+0x[0-9a-f]+  main at ' "$tmp/out"
kill -9 "$pid"
# Of a process that has ended, by its files.
"$tool" symbolize "$tmp/stacks" <"$tmp/events" >"$tmp/out"
is_like ' frame +0: the program\+0x[0-9a-f]+  leaf at ' "$tmp/out"

# ---- The lock check's form, and what is no place ----
offset=$(sed -n 's/.*\/stacks+\(0x[0-9a-f]*\)$/\1/p' "$tmp/stack" | head -n 1)
cat >"$tmp/in" <<END
lock check:     stacks(+$offset leaf)
a+0x no place, /nonexistent+0x12, +0x12, /dev/zero+0x12 $tmp+0x1
other+0x12 the program+0xffffffffffffffff
END
"$tool" symbolize "$tmp/stacks" <"$tmp/in" >"$tmp/out"
is_like 'stacks\(\+0x[0-9a-f]+ leaf\)  leaf at ' "$tmp/out"
tail -n 2 "$tmp/in" | diff - "$(tail -n 2 "$tmp/out" >"$tmp/tail" && echo "$tmp/tail")" || fail "what is no place"
# A file that is none, or half of one.
head -c 300 "$tmp/stacks" >"$tmp/half"
for file in "$tmp/half" "$tmp/in"; do
	echo "$file+0x1139" | PATH=/nonexistent "$tool" symbolize >"$tmp/out"
	[ "$(cat "$tmp/out")" = "$file+0x1139" ] || fail "$(cat "$tmp/out")"
done
refuses 1 'there is no process 99999999; see ps' "$tool" symbolize --pid 99999999
if [ "$(id -u)" -eq 0 ]; then
	# In a directory that every user may read.
	cp "$tool" "$tmp/oomreclaim"
	chmod 755 "$tmp"
	refuses 1 "process $$ \([^)]*\) belongs to user root; .*" \
		setpriv --reuid 65534 --clear-groups "$tmp/oomreclaim" symbolize --pid $$
fi
refuses 2 'symbolize: me is no process number; see .*' "$tool" symbolize --pid me
verdict
