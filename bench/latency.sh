#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# How long malloc takes in a program that always fills its limit, when each failing thread reclaims for
# itself, and when oomreclaimd does it above a watermark.
#
#     latency.sh LATENCY LIBRARY      (meson test --benchmark latency)
#
# In turns; medians of the rounds. Exit status: 0, or 1 if a run failed.
set -eu

rounds=5
seconds=5
limit=limit:256M
watermarks=,high:85%,low:70%

if [ $# -ne 2 ]; then
	echo "usage: latency.sh LATENCY LIBRARY" >&2
	exit 2
fi
latency=$1
library=$(realpath "$2")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# run NAME CONF
run()
{
	OOMRECLAIM_CONF=$2 LD_PRELOAD=$library "$latency" --seconds $seconds \
		--threads "$threads" >>"$dir/$1"
}

# median FILE COLUMN
median()
{
	cut -d ' ' -f "$2" "$1" | sort -n | awk '{ at[NR] = $1 } END { print at[int((NR + 1) / 2)] }'
}

for threads in 1 2 4; do
	: >"$dir/direct"
	: >"$dir/background"
	for round in $(seq $rounds); do
		[ ! -t 2 ] || printf '\rthreads %d, round %d of %d ' "$threads" "$round" $rounds >&2
		run direct $limit
		run background $limit$watermarks
	done
	[ ! -t 2 ] || printf '\r                           \r' >&2
	echo "threads $threads: microseconds    p50      p99    p99.9      max   in background   by malloc itself"
	for name in direct background; do
		for column in 2 3 4 5 7 9 1 11; do
			median "$dir/$name" $column
		done | tr '\n' ' ' | awk -v name="$name" '{
			printf "  %-20s %8.1f %8.1f %8.1f %8.1f %10.1f %%  1 of %d\n", name, $1 / 1e3, $2 / 1e3,
				$3 / 1e3, $4 / 1e3, 100 * $6 / ($5 + $6 > 0 ? $5 + $6 : 1), $7 / ($8 > 0 ? $8 : $7) }' |
			sed 's/1 of 1$/none/'
	done
	if [ "$(median "$dir/direct" 11)" -eq 0 ]; then
		echo "  the limit was not met in $seconds seconds: the machine is too busy to tell"
		continue
	fi
	awk -v a="$(median "$dir/direct" 4)" -v b="$(median "$dir/background" 4)" \
		'BEGIN { printf "  p99.9 is %.1f times shorter\n", a / b }'
done
