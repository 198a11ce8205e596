#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# limit-auto.sh LIBRARY CACHE A memory cgroup of 128 MiB, and a program with a cache that wants four
# times that: the kernel kills it with the distribution's jemalloc (libc's malloc, where that is not
# installed), and with limit:auto it ends well, 20 times of 20.
set -eu

library=$1 cache=$2
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
