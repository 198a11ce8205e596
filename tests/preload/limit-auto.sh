#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# limit-auto.sh LIBRARY CACHE
# A memory cgroup of 128 MiB, version 1, and a program with a cache that wants four times that: the
# kernel kills it without the library, and with limit:auto it ends well, 20 times of 20.
set -eu

library=$1 cache=$2
own=$(sed -n 's/^[0-9]*:memory:\(.*\)$/\1/p' /proc/self/cgroup)
mount=$(awk '$0 ~ / - cgroup / && $NF ~ /(^|,)memory(,|$)/ { print $5 }' /proc/self/mountinfo)
group=${mount}${own%/}/oomreclaim.$$
if [ -z "$mount" ] || ! mkdir "$group" 2>/dev/null; then
	echo "skipped: no memory cgroup of version 1 to be made here"
	exit 77
fi
trap 'rmdir "$group"' EXIT
echo $((128 << 20)) >"$group/memory.limit_in_bytes"

# in_group CONF PRELOAD: the cache in the group.
in_group()
{
	# shellcheck disable=SC2016
	sh -c 'echo $$ >"$1/cgroup.procs" && exec env OOMRECLAIM_CONF="$2" LD_PRELOAD="$3" "$4"' \
		sh "$group" "$1" "$2" "$cache"
}
killed()
{
	sed -n 's/^oom_kill //p' "$group/memory.oom_control"
}

status=0
in_group '' '' 2>/dev/null || status=$?
if [ $status -ne 137 ] || [ "$(killed)" -ne 1 ]; then
	echo "FAIL: without the library: status $status, $(killed) killed"
	exit 1
fi
for conf in limit:auto limit:auto,high:85%; do
	for i in 1 2 3 4 5 6 7 8 9 10; do
		if ! in_group "$conf" "$library"; then
			echo "FAIL: $conf: run $i"
			exit 1
		fi
	done
done
if [ "$(killed)" -ne 1 ]; then
	echo "FAIL: $(killed) killed with the library"
	exit 1
fi
echo "ok: killed without, 20 of 20 with"
