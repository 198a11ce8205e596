#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# room.sh LIBRARY ROOM In a memory cgroup of 64 MiB, oomreclaim_headroom() knows of it, with
# limit:auto and without.
set -eu

library=$1 room=$2
# shellcheck source=tests/preload/cgroup.sh
. "$(dirname "$0")/cgroup.sh"
make_group 64

for conf in '' limit:auto; do
	if ! in_group "$conf" "$library" "$room" group; then
		echo "FAIL: \"$conf\""
		exit 1
	fi
done
echo "ok"
