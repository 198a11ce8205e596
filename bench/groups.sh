#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# groups.sh GROUPS LIBRARY          (meson test --benchmark groups)
#
# What groups cost, from none to 1000: nanoseconds of an operation, the least of some runs, and its
# instructions by callgrind, where that is installed; resident memory with 1000 blocks in each group,
# and with as many blocks in none. bench/groups.c says what the operations are.
set -eu

program=$1 library=$(realpath "$2")
rounds=${ROUNDS:-5}

# run OPTION...: the program's output.
run()
{
	LD_PRELOAD=$library "$program" "$@"
}

# ns OPERATION GROUPS COUNT
ns()
{
	round=0
	while [ $round -lt "$rounds" ]; do
		run --time "$@"
		round=$((round + 1))
	done | sort -n | head -n 1
}

# collected OPERATION GROUPS COUNT: instructions of one whole run.
collected()
{
	LD_PRELOAD=$library valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$@" 2>&1 |
		sed -n 's/^==[0-9]*== Collected *: *\([0-9]*\).*/\1/p'
}

# instructions OPERATION GROUPS COUNT
instructions()
{
	if ! command -v valgrind >/dev/null; then
		echo -
		return
	fi
	one=$(collected "$1" "$2" "$3")
	two=$(collected "$1" "$2" $((2 * $3)))
	awk -v one="$one" -v two="$two" -v count="$3" 'BEGIN { printf "%.1f\n", (two - one) / count }'
}

echo 'groups operation           ns instructions'
for groups in 0 1 10 100 1000; do
	for operation in pair outside foreign enter job; do
		[ $groups -gt 0 ] || [ $operation != enter ] || continue
		case $operation in
		pair | outside | foreign) count=200000 ;;
		enter) count=20000 ;;
		job) count=2000 ;;
		esac
		printf '%6d %-10s %11s %12s\n' $groups $operation "$(ns $operation $groups $((10 * count)))" \
			"$(instructions $operation $groups "$count")"
	done
done
echo 'groups  KiB in groups  KiB in none'
for groups in 1 10 100 1000; do
	printf '%6d %14s %12s\n' $groups "$(run memory $groups 0)" "$(run memory 0 $groups)"
done
