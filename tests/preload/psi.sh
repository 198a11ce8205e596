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
