#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# prefork.sh LIBRARY PREFORK
# A parent and eight children in one memory cgroup. Where the group's limit stands in the way, the
# worst child dies and the parent goes on; where it is a limit of the parent alone, none does.
set -eu

library=$1 prefork=$2
children='8 8 8 8 48:300 8 8 64'
# shellcheck source=tests/preload/cgroup.sh
. "$(dirname "$0")/cgroup.sh"
make_group 240
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"; remove_group' EXIT

# expect NAME STATUS CONF LINE...: exactly these lines on stdout.
expect()
{
	name=$1 want=$2 conf=$3
	shift 3
	status=0
	# Words, one for each child.
	# shellcheck disable=SC2086
	in_group "$conf" "$library" "$prefork" 64 $children >"$tmp/out" 2>"$tmp/err" || status=$?
	printf '%s\n' "$@" >"$tmp/expected"
	if [ $status -ne "$want" ] || ! diff "$tmp/expected" "$tmp/out"; then
		echo "FAIL: $name: status $status"
		cat "$tmp/err"
		exit 1
	fi
	echo "ok: $name"
}
# reports NAME REGEX COUNT: so many lines of the last stderr match.
reports()
{
	if [ "$(grep -cE "$2" "$tmp/err")" -ne "$3" ]; then
		echo "FAIL: $1: not $3 lines like $2"
		cat "$tmp/err"
		exit 1
	fi
	echo "ok: $1"
}

died='child 5 (48 MiB, oom_score_adj 300) died of signal 9'
for target in children pgroup cgroup; do
	expect "kill_target:$target" 0 \
		"limit:auto-5%,policy:kill,kill_target:$target,costly:off" \
		"$died" 'parent: got 64 of 64 MiB, 1 of 8 children died'
	reports "kill_target:$target, one kill" '^Out of memory: Killed process [0-9]+ \(preload_prefork\) ' 1
	reports "kill_target:$target, constraint" ', constraint=CGROUP, policy=kill$' 1
done
reports 'the table has them all' '^\[ *[0-9]+\] +[0-9]+ +[0-9]+ .* preload_prefork$' 9

expect 'signal TERM' 0 \
	'limit:auto-5%,policy:kill,kill_target:children,costly:off,kill_signal:TERM' \
	'child 5 (48 MiB, oom_score_adj 300) died of signal 15' \
	'parent: got 64 of 64 MiB, 1 of 8 children died'

# costly: whoever asks for 1 MiB checks for NULL.
status=0
# shellcheck disable=SC2086
in_group 'limit:auto-5%,policy:kill,kill_target:children' "$library" "$prefork" 64 $children \
	>"$tmp/out" 2>"$tmp/err" || status=$?
if [ $status -ne 1 ] || ! grep -q ', 0 of 8 children died$' "$tmp/out"; then
	echo "FAIL: costly: status $status"
	cat "$tmp/out" "$tmp/err"
	exit 1
fi
echo "ok: costly"

# A limit of the parent alone.
status=0
prlimit --as=$((100 << 20)) env LD_PRELOAD="$library" \
	OOMRECLAIM_CONF=policy:kill,kill_target:children,costly:off,verbose:true \
	"$prefork" 128 8 8:500 >"$tmp/out" 2>"$tmp/err" || status=$?
if [ $status -ne 1 ] || ! grep -q ', 0 of 2 children died$' "$tmp/out"; then
	echo "FAIL: RLIMIT_AS: status $status"
	cat "$tmp/out" "$tmp/err"
	exit 1
fi
reports 'RLIMIT_AS: no child dies' 'constraint=RLIMIT_AS' 1
reports 'RLIMIT_AS: why' '; no kill: it is a limit of this process alone, ' 1
