#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Builds a fuzz target with clang's libFuzzer, AddressSanitizer and UBSan, and runs
# it on its corpus and from there on.
#
#     tests/fuzz/run.sh TARGET [FILE...]
#
# TARGET: conf, proc, pressure, api. FILEs: repeats these inputs alone. FUZZ_SECONDS:
# how long (15). FUZZ_CORPUS: a directory for what is found to be worth keeping.
set -eu
target=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
root=${here%/tests/fuzz}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

unset LD_PRELOAD OOMRECLAIM_CONF MEMORY_PRESSURE_WATCH MEMORY_PRESSURE_WRITE

# All but what is in the debug library alone, what stands in front of jemalloc, and malloc itself.
set -- "$@" --
for source in "$root"/src/*/*.c; do
	case ${source#"$root"/src/} in
	lockdep/* | base/assert.c | base/lock.c | entry/debug.c | entry/dry_run.c | entry/fail_malloc.c | entry/heap_conf.c) ;;
	heap/* | entry/init.c | entry/group.c | entry/cxx_*.c | entry/interpose*.c | limits/pages.c) ;;
	*) set -- "$@" "$source" ;;
	esac
done
inputs=
while [ "$1" != -- ]; do
	inputs="$inputs $1"
	shift
done
shift

clang -g -O1 -std=gnu11 -D_GNU_SOURCE -DOOM_MODULE_DIR='"/nonexistent"' -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	-I"$root/include" -I"$root/src" -I"$root/tests/unit" -o "$tmp/fuzz" "$here/$target.c" \
	"$root/tests/unit/fake_heap.c" "$root/tests/unit/support.c" "$@" -pthread

if [ -n "$inputs" ]; then
	# Names without blanks: one word each.
	# shellcheck disable=SC2086
	"$tmp/fuzz" $inputs
	exit
fi
mkdir "$tmp/new"
# Leaks: the sanitizer's own thread can't look everywhere where ptrace is forbidden.
if ! ASAN_OPTIONS=detect_leaks=0 "$tmp/fuzz" -max_total_time="${FUZZ_SECONDS:-15}" -max_len=4096 \
	-timeout=30 -print_final_stats=1 -artifact_prefix="$tmp/" "${FUZZ_CORPUS:-$tmp/new}" \
	"$here/corpus/$target" >"$tmp/log" 2>&1; then
	tail -n 60 "$tmp/log"
	for input in "$tmp"/crash-* "$tmp"/timeout-* "$tmp"/oom-*; do
		[ -f "$input" ] || continue
		echo "The input, for base64 -d and tests/fuzz/run.sh $target FILE:"
		base64 "$input"
	done
	exit 1
fi
grep -E '^stat::number_of_executed_units|^Done|DONE' "$tmp/log"
