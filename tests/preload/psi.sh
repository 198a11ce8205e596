#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# psi.sh LIBRARY PRESSURE Memory stall that the kernel itself reports: neighbours in a memory cgroup
# that is far too small for the file that they read wait for reclaim all the time. The program,
# which has no limit, is told by PSI, or by the small group's levels.
set -eu

library=$1 pressure=$2
# shellcheck source=tests/preload/cgroup.sh
. "$(dirname "$0")/cgroup.sh"
if [ ! -w /proc/pressure/memory ]; then
	echo "skipped: this kernel has no PSI"
	exit 77
fi
make_group 16
tmp=$(mktemp -d)
finish()
{
	# They end when there is nothing to read.
	rm -rf "$tmp"
	wait
	remove_group
}
trap finish EXIT

# Holes: pages of the cache that cost no disk.
truncate -s 512M "$tmp/file"

# expect NAME CONF: ends by itself when it has been told.
expect()
{
	if ! timeout 60 env OOMRECLAIM_CONF="$2" LD_PRELOAD="$library" "$pressure" wait >/dev/null; then
		echo "FAIL: $1: was not told in 60 seconds"
		cat /proc/pressure/memory
		exit 1
	fi
	echo "ok: $1"
}

# shellcheck disable=SC2016
for _ in 1 2 3 4; do
	sh -c 'echo $$ >"$1/cgroup.procs" && while cat "$2"; do :; done' sh \
		"$group" "$tmp/file" >/dev/null 2>&1 &
done
expect "PSI, the program's own group" pressure:auto
expect "PSI, the machine" pressure:/proc/pressure/memory
expect "version 1's levels" "pressure:$group/memory.pressure_level"

# Another user's trigger: the kernel's first event for it counts all stall since boot, and comes at the
# first few milliseconds. So there are only some for a few seconds, and then what is asked for.
rm "$tmp/file"
wait
truncate -s 512M "$tmp/other"
# shellcheck disable=SC2016
for _ in 1 2 3 4; do
	sh -c 'echo $$ >"$1/cgroup.procs" && for _ in 1 2 3 4 5 6; do sleep 1; head -c 20M "$2"; done &&
		while cat "$2"; do :; done' sh "$group" "$tmp/other" >/dev/null 2>&1 &
done
# What that user can reach, wherever the build is.
chmod 711 "$tmp"
cp "$library" "$tmp/liboomreclaim.so.0"
cp "$pressure" "$tmp/pressure"
user=
[ "$(id -u)" -ne 0 ] || user="setpriv --reuid=65534 --regid=65534 --clear-groups"
# shellcheck disable=SC2086
if ! timeout 60 $user env LD_PRELOAD="$tmp/liboomreclaim.so.0" "$tmp/pressure" stall >/dev/null; then
	echo "FAIL: told before there was that stall, or not at all"
	exit 1
fi
echo "ok: the first event"
