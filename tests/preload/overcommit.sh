#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# overcommit.sh LIBRARY BUDGET As if the machine had vm.overcommit_memory=2, where jemalloc tells
# the kernel which of its pages it means to use: for this program alone, by a file that is mounted
# over the kernel's.
set -eu

library=$1 budget=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
echo 2 >"$tmp/mode"
setting=/proc/sys/vm/overcommit_memory
if ! unshare -m mount --bind "$tmp/mode" $setting 2>/dev/null; then
	echo "skipped: nothing may be mounted here"
	exit 77
fi
# shellcheck disable=SC2016
unshare -m sh -c 'mount --bind "$1" "$2" && shift 2 && exec "$@"' sh "$tmp/mode" $setting \
	env MALLOC_CONF=retain:true,dirty_decay_ms:0 LD_PRELOAD="$library" "$budget" again
echo ok
