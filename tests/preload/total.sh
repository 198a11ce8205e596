#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# total.sh LIBRARY TOTAL TOOL: processes that share a limit of 128 MiB by oomreclaim run --total, and
# what becomes of a total that is none. TOTAL is total.c.
set -eu

library=$1 total=$2 tool=$3
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/../tool/common.sh"

# ends STATUS COMMAND...: and says nothing.
ends()
{
	expect "$@"
	[ ! -s "$tmp/err" ] || {
		fail "$*: it says:"
		cat "$tmp/err"
	}
}
# within CASE [OPTION...]
within()
{
	name=$1
	shift
	ends 0 "$tool" run --library "$library" --total 128M "$@" -- "$total" "$name"
}

# Where the machine is busy, a neighbour takes its time.
patient=wait_ms:60000
for name in one-charge-for-all what-is-pending-counts a-child-has-its-own a-zombie-has-nothing a-clone-is-without the-impossible \
	a-neighbour-gives a-neighbour-gives-low the-largest-gives-first no-charge-is-lost after-exec \
	after-exec-without-descriptors exec-in-place; do
	within "$name" --conf $patient
done
within a-stopped-one-holds-nobody-up --conf wait_ms:200
for name in the-policy-kills-a-neighbour nobody-outside-is-killed; do
	within "$name" --policy kill --conf kill_target:children,costly:off,report:never
done

# ---- Without it, with a line ----
# without REASON COMMAND...
without()
{
	reason=$1
	shift
	expect 0 "$@"
	[ "$(cat "$tmp/err")" = "oomreclaim: total: $reason; going on without it" ] || {
		fail "$*: not one line with $reason:"
		cat "$tmp/err"
	}
}
in_total()
{
	"$tool" run --library "$library" --total 128M -- "$total" "$@"
}
# Called by way of without.
# shellcheck disable=SC2317
preloaded()
{
	env LD_PRELOAD="$library" "$total" "$@"
}
none='what the environment names is none'
forgery='what is in it no process can have written'
foreign="it is of another pid namespace, or /proc can't be read"
without "its descriptor is closed, and no ancestor has it" in_total after-all-are-closed
for how in unsealed short magic; do
	without "$none" preloaded forged $how can
done
without 'it is of another version' preloaded forged version can
without "$forgery" preloaded forged limit can
without "$foreign" preloaded forged namespace can
without 'it has as many processes as it has room for' preloaded forged full can
for how in more pending; do
	without "$forgery" preloaded forged $how can
done
for how in good slots; do
	ends 0 preloaded forged $how cannot
done
for text in 3 3:4:5 x:1 -1:1 99999999999:1 3:99999999999999999999; do
	without "$none" preloaded environment "$text"
done
without 'its descriptor is closed, and no ancestor has it' preloaded environment 0:1
ends 0 preloaded environment ''

status=0
in_total in-a-pid-namespace >"$tmp/out" 2>"$tmp/err" || status=$?
if [ $status -ne 77 ]; then
	without "$foreign" in_total in-a-pid-namespace
fi
# All of them may have their block at the same time.
# shellcheck disable=SC2317
in_large_total()
{
	"$tool" run --library "$library" --total 8192M -- "$total" "$@"
}
without 'it has as many processes as it has room for' in_large_total more-than-slots

# ---- What is seen of it ----
# What the two hold is 80 MiB. The heaps' own part above it differs from machine to machine.
both='([89][0-9]|1[01][0-9])[0-9.]*M'
# shellcheck disable=SC2016 # of the shell that is started
start "$tool" run --library "$library" --total 128M -- sh -c 'echo ready; "$1" hold 30 & "$1" hold 50; wait' sh "$total"
sum=0
until "$tool" top >"$tmp/out" && [ "$(grep -c ' preload_total$' "$tmp/out")" -ge 2 ] && "$tool" top | grep -Eq "^total $both of 128.0M by [34] processes"; do
	sum=$((sum + 1))
	[ $sum -lt 100 ] || { fail "top:"; cat "$tmp/out"; break; }
	sleep 0.2
done
one=$(pgrep -P "$pid" -f 'hold 50')
until "$tool" stat "$one" | grep -Eq "^total     charged $both  limit 128.0M  peak $both  met 0 times  processes [34]  this one [56][0-9.]+M\$"; do
	sum=$((sum + 1))
	[ $sum -lt 200 ] || { fail "stat:"; "$tool" stat "$one"; break; }
	sleep 0.2
done
"$tool" stat --json "$one" >"$tmp/out"
is_like '"total": \{"id": [0-9]+, "limit": 134217728, "charged": [0-9]{8,9}, "own": [56][0-9]{7}, "peak": [0-9]+, "times_met": 0, "processes": [34]\}' "$tmp/out"
for child in $(pgrep -P "$pid"); do
	kill -9 "$child" 2>/dev/null || :
done

refuses 2 'run: --total 1M: less than 8M, which a heap needs to start; .*' "$tool" run --total 1M true
refuses 2 'run: --total lots: not a size .*' "$tool" run --total lots true

verdict
