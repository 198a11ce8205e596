#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# readonly.sh LIBRARY PRESSURE TOOL As in a container: cgroupfs and /proc are mounted for reading alone,
# so that no trigger can be set. What is looked at in their place is said by `oomreclaim stat`, and
# the program is told of real pressure.
set -eu

library=$1 pressure=$2 tool=$3
if [ -z "${READONLY_INSIDE:-}" ]; then
	if ! unshare -m true 2>/dev/null; then
		echo "skipped: no mount namespace to be had"
		exit 77
	fi
	READONLY_INSIDE=1 exec unshare -m "$0" "$@"
fi
# shellcheck source=tests/preload/cgroup.sh
. "$(dirname "$0")/cgroup.sh"
make_group 48
tmp=$(mktemp -d)
waiting=
finish()
{
	[ -z "$waiting" ] || kill "$waiting" 2>/dev/null || :
	# The readers end when there is nothing to read.
	umount -l "$tmp" 2>/dev/null || :
	rmdir "$tmp"
	umount "$mount" 2>/dev/null || :
	echo $$ >"${group%/*}/cgroup.procs"
	wait
	remove_group
}
trap finish EXIT
mount -t tmpfs tmpfs "$tmp"
# All that follows is in the group.
echo $$ >"$group/cgroup.procs"

# read_only PATH
read_only()
{
	mount --bind "$1" "$1"
	mount -o remount,ro,bind "$1"
}

# start EXPECTED CONF: the program, which ends when it is told; stat has to say EXPECTED of it.
start()
{
	: >"$tmp/ready"
	env OOMRECLAIM_CONF="$2,stats:true" LD_PRELOAD="$library" "$pressure" wait \
		>"$tmp/ready" 2>"$tmp/stderr" &
	waiting=$!
	while [ ! -s "$tmp/ready" ]; do sleep 0.05; done
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
		said=$("$tool" stat "$waiting" 2>&1 | grep '^pressure' || :)
		[ "$said" != "pressure  $1" ] || break
		sleep 0.5
	done
	if [ "$said" != "pressure  $1" ]; then
		echo "FAIL: stat says \"$said\" and not \"pressure  $1\""
		exit 1
	fi
	"$tool" stat --json "$waiting" | grep -q "\"pressure_path\": \"${1##* }\""
}

# told: it ends by itself, in good order and without a word.
told()
{
	tries=0
	while kill -0 "$waiting" 2>/dev/null && [ "$tries" -lt 300 ]; do
		sleep 0.2
		tries=$((tries + 1))
	done
	if [ "$tries" -eq 300 ] || ! wait "$waiting" || [ -s "$tmp/stderr" ]; then
		echo "FAIL: $1: was not told, or not well"
		cat "$tmp/stderr"
		exit 1
	fi
	waiting=
	echo "ok: $1"
}

read_only "$mount"
unified=$(awk '$0 ~ / - cgroup2 / { print $5 }' /proc/self/mountinfo)
[ -z "$unified" ] || umount -l "$unified"
start "looked for in, beside the usage, $group/memory.failcnt" pressure:auto
# Nothing that the kernel would drop. It grows until there is pressure.
number=0
while kill -0 "$waiting" 2>/dev/null && [ "$number" -lt 44 ]; do
	number=$((number + 1))
	head -c 1M /dev/zero >"$tmp/$number"
	sleep 0.1
done
told "version 1's usage"
find "$tmp" -name '[0-9]*' -delete

if [ ! -w /proc/pressure/memory ]; then
	echo "left out: this kernel has no PSI"
	exit 0
fi
mount -o remount,ro,bind /proc
start "looked for in the total of /proc/pressure/memory" pressure:/proc/pressure/memory
truncate -s 512M /var/tmp/oomreclaim.$$
for _ in 1 2 3 4; do
	while cat /var/tmp/oomreclaim.$$; do :; done >/dev/null 2>&1 &
done
told "the machine's stall"
rm /var/tmp/oomreclaim.$$
