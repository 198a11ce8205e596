#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# dump.sh LIBRARY PROGRAM
# oom_dump: statistics that parse, and a heap profile where profiling is on; nothing where the
# directory can't be written; nothing above the size limit.
set -eu

library=$1 program=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# dump NAME CONF: PROGRAM aborts under a limit.
dump()
{
	mkdir -p "$tmp/$1"
	status=0
	prlimit --as=$((64 << 20)) --core=0 env LD_PRELOAD="$library" MALLOC_CONF=prof:true \
		OOMRECLAIM_CONF="policy:abort,report:never,$2" "$program" small 2>"$tmp/err" || status=$?
	if [ $status -ne 134 ]; then
		echo "FAIL: $1: status $status"
		cat "$tmp/err"
		exit 1
	fi
}

dump both "oom_dump:$tmp/both"
/usr/bin/python3 -c 'import json, sys
stats = json.load(open(sys.argv[1]))["jemalloc"]
assert stats["version"].startswith("5.3.0") and stats["stats"]["allocated"] > 0' \
	"$tmp"/both/oomreclaim.*.stats.json
grep -q '^heap_v2/' "$tmp"/both/oomreclaim.*.heap
[ -z "$(find "$tmp/both" -type f ! -perm 600)" ] || { echo "FAIL: others may read it"; exit 1; }
echo "ok: statistics and profile"

dump capped "oom_dump:$tmp/capped,oom_dump_max:1K"
find "$tmp/capped" -type f -size +1024c >"$tmp/large"
[ ! -s "$tmp/large" ] || { echo "FAIL: above the limit"; exit 1; }
echo "ok: size limit"

dump none "oom_dump:$tmp/missing"
[ ! -e "$tmp/missing" ]
echo "ok: no directory"
