#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# limit-auto.sh LIBRARY CACHE TOOL A memory cgroup of 128 MiB, and a program with a cache that wants four
# times that: the kernel kills it with the distribution's jemalloc (libc's malloc, where that is not
# installed), and with limit:auto it ends well, 20 times of 20.
set -eu

library=$1 cache=$2 tool=$3
# shellcheck source=tests/preload/cgroup.sh
. "$(dirname "$0")/cgroup.sh"
make_group 128

jemalloc=libjemalloc.so.2
# Without it there is a line on stderr.
if LD_PRELOAD=$jemalloc /bin/true 2>&1 | grep -q .; then
	jemalloc=
fi
status=0
in_group '' "$jemalloc" "$cache" 2>/dev/null || status=$?
if [ $status -ne 137 ] || [ "$(killed)" -ne 1 ] || [ "$(cat "$group/memory.failcnt")" -eq 0 ]; then
	echo "FAIL: with ${jemalloc:-libc}: status $status, $(killed) killed"
	exit 1
fi
for conf in limit:auto limit:auto,high:85%; do
	for i in 1 2 3 4 5 6 7 8 9 10; do
		if ! in_group "$conf" "$library" "$cache"; then
			echo "FAIL: $conf: run $i"
			exit 1
		fi
	done
done
if [ "$(killed)" -ne 1 ]; then
	echo "FAIL: $(killed) killed with the library"
	exit 1
fi
echo "ok: killed with ${jemalloc:-libc}, 20 of 20 run to their end with the library"

# What it goes by, less the margin.
said=$(in_group '' '' "$tool" conf --conf limit:auto-25% | grep '^limit:auto:')
# As it is counted, in hundredths.
# shellcheck disable=SC2017
expected="limit:auto: $(((128 << 20) / 100 * 75)) bytes, less what others use there, 75% of the limit of $group"
if [ "$said" != "$expected" ]; then
	echo "FAIL: conf says \"$said\", not \"$expected\""
	exit 1
fi

# said CONF PREFIX: what a program says where PREFIX has taken away what there is to see.
said()
{
	# shellcheck disable=SC2016
	unshare -m sh -c "$2"' && exec env OOMRECLAIM_CONF="$1" LD_PRELOAD="$2" /bin/true' sh "$1" \
		"$library" 2>&1
}
no_groups='umount -l /sys/fs/cgroup'
if ! unshare -m sh -c "$no_groups" 2>/dev/null; then
	echo "left out: nothing can be unmounted here"
	exit 0
fi
expect_said()
{
	text=$(said "$1" "$2" | tr '\n' ';')
	if ! echo "$text" | grep -Eqx "$3"; then
		echo "FAIL: $1, $2: \"$text\""
		exit 1
	fi
}
expect_said limit:auto,verbose:true "$no_groups" "oomreclaim: limit:auto: no memory cgroup with a \
limit is in sight; [0-9]+ bytes, of the machine's memory;"
expect_said limit:auto,verbose:true "$no_groups && umount -l /proc" "oomreclaim: limit:auto: \
neither a memory cgroup nor /proc/meminfo is in sight; no limit;"
expect_said limit:auto "$no_groups" ''
expect_said limit:1G,verbose:true "$no_groups" ''
# shellcheck disable=SC2016
if ! unshare -m sh -c "$no_groups"' && exec "$1" conf --conf limit:auto' sh "$tool" |
	grep -Eqx "limit:auto: [0-9]+ bytes, 90% of the machine's memory; no memory cgroup with a limit is in sight"; then
	echo "FAIL: conf, where there is no group"
	exit 1
fi
echo "ok: what it goes by is said"
