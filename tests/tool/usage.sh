#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage.sh TOOL: wrong command lines, help, version.
set -eu

tool=$1
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"

refuses 2 'no command; see oomreclaim --help' "$tool"
refuses 2 'unknown command frob; see oomreclaim --help' "$tool" frob
refuses 2 'unknown option --frob; see oomreclaim --help' "$tool" --frob
for command in run check conf top stat export; do
	refuses 2 "$command: unknown option --frob; see oomreclaim $command --help" \
		"$tool" $command --frob
	refuses 2 "$command: unknown option -x; see oomreclaim $command --help" "$tool" $command -x
	expect 0 "$tool" $command --help
	is_like "^usage: oomreclaim $command " "$tmp/out"
	expect 0 "$tool" --help
	is_like "^  $command +[a-z]" "$tmp/out"
done
expect 0 "$tool" -h
expect 0 "$tool" help
for option in --version -V; do
	expect 0 "$tool" $option
	is_like '^oomreclaim [0-9]+\.[0-9]+\.[0-9]+$' "$tmp/out"
done

refuses 2 'run: no program to run; .*' "$tool" run
refuses 2 'run: no program to run; .*' "$tool" run --limit 1G --
refuses 2 'check: no program to check; .*' "$tool" check
refuses 2 'check: one program at a time; .*' "$tool" check ls cat
refuses 2 'conf: ls: takes no arguments; .*' "$tool" conf ls
refuses 2 'top: one process, or none for all; .*' "$tool" top 1 2
for command in top stat; do
	for word in x 0 -1x 1x '' 99999999999999999999; do
		case $word in
		-*) continue ;;
		esac
		refuses 2 "$command: $word is no process number; .*" "$tool" $command "$word"
	done
done
for option in --limit --as --data --policy --reserve --conf --library; do
	refuses 2 "run: $option needs a value; .*" "$tool" run $option
done
for value in x 0 -1 nan inf 1e9 ''; do
	refuses 2 "top: --delay $value: not a number of seconds, .*" "$tool" top --delay "$value"
done
refuses 2 'top: --count 0: not a number from 1; .*' "$tool" top -n 0
refuses 2 'top: --count 1x: not a number from 1; .*' "$tool" top -n 1x
refuses 2 'stat: --json and --prometheus, but one of them; .*' "$tool" stat --json --prometheus

# Output that can't be written is a failure.
status=0
"$tool" conf >/dev/full 2>"$tmp/err" || status=$?
[ $status -eq 1 ] || fail "a full disk: status $status"
is_like '^oomreclaim: standard output: No space left on device$' "$tmp/err"
verdict
