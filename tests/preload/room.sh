#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# room.sh LIBRARY ROOM In a memory cgroup of 64 MiB, oomreclaim_headroom() knows of it, with
# limit:auto and without.
set -eu

library=$1 room=$2
# shellcheck source=tests/preload/cgroup.sh
. "$(dirname "$0")/cgroup.sh"

# A group for each: what the former process had is given back some time after its end.
for conf in '' limit:auto; do
	status=0
	(
		make_group 64
		in_group "$conf" "$library" "$room" group
	) || status=$?
	[ $status -ne 77 ] || exit 77
	if [ $status -ne 0 ]; then
		echo "FAIL: \"$conf\""
		exit 1
	fi
done
echo "ok"
