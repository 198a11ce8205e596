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

# The stacks of a profile begin where memory was asked for: in the program, or in one of its libraries.
env MALLOC_CONF="prof:true,prof_final:true,lg_prof_sample:12,prof_prefix:$tmp/final" LD_PRELOAD="$library" \
	/usr/bin/python3 -c 'kept = [bytes(1000) for _ in range(20000)]'
/usr/bin/python3 - "$tmp"/final.*.heap <<'END'
import os, re, sys
text = open(sys.argv[1]).read()
firsts = [int(first, 16) for first in re.findall('^@ 0x([0-9a-f]+)', text, re.M)]
files = [(int(begin, 16), int(end, 16), path) for begin, end, path in
         re.findall(r'^([0-9a-f]+)-([0-9a-f]+) .* (/\S+)$', text, re.M)]
places = [path for first in firsts for begin, end, path in files if begin <= first < end]
assert firsts and len(places) == len(firsts), (firsts, files)
assert not any('liboomreclaim' in path for path in places), places
assert os.path.realpath(sys.executable) in places, places
END
echo "ok: the program's stacks"

dump capped "oom_dump:$tmp/capped,oom_dump_max:1K"
find "$tmp/capped" -type f -size +1024c >"$tmp/large"
[ ! -s "$tmp/large" ] || { echo "FAIL: above the limit"; exit 1; }
echo "ok: size limit"

# A program that goes on. Nothing for what was never to be had.
mkdir "$tmp/refused" "$tmp/impossible"
env OOMRECLAIM_CONF="limit:64M,oom_dump:$tmp/refused" MALLOC_CONF=prof:true LD_PRELOAD="$library" \
	/usr/bin/python3 -c 'kept = []
for _ in range(2):
    try:
        while True:
            kept.append(bytearray(1 << 20))
    except MemoryError:
        kept.pop()'
[ "$(find "$tmp/refused" -type f | sed 's/.*[.][0-9]*[.]refused/oomreclaim.PID.refused/' | sort)" = "oomreclaim.PID.refused.1.heap
oomreclaim.PID.refused.1.stats.json" ] || { echo "FAIL: refused"; ls "$tmp/refused"; exit 1; }
[ -z "$(find "$tmp/refused" -type f ! -perm 600)" ] || { echo "FAIL: others may read it"; exit 1; }
/usr/bin/python3 -m json.tool "$tmp"/refused/*.json >"$tmp/json"
env OOMRECLAIM_CONF="limit:64M,oom_dump:$tmp/impossible" LD_PRELOAD="$library" \
	/usr/bin/python3 -c 'try: bytearray(1 << 40)
except MemoryError: pass'
[ -z "$(ls "$tmp/impossible")" ] || { echo "FAIL: impossible"; exit 1; }
echo "ok: refusals"

dump none "oom_dump:$tmp/missing"
[ ! -e "$tmp/missing" ]
echo "ok: no directory"
