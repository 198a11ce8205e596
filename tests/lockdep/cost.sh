#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# cost.sh LIBRARY DEBUG-LIBRARY: what the debug library costs on programs of others, as a ratio of
# the medians of runs that take turns.
set -eu
library=$1 debug=$2
unset LD_PRELOAD MALLOC_CONF OOMRECLAIM_CONF
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# once OUT LIBRARY CONF COMMAND...: milliseconds, appended to OUT.
once()
{
	out=$1 preload=$2 conf=$3
	shift 3
	began=$(date +%s%N)
	LD_PRELOAD=$preload OOMRECLAIM_CONF=$conf "$@" >/dev/null 2>&1
	echo $((($(date +%s%N) - began) / 1000000)) >>"$tmp/$out"
}

median()
{
	sort -n "$tmp/$1" | sed -n 4p
}

# compare LABEL COMMAND...
compare()
{
	label=$1
	shift
	rm -f "$tmp"/release "$tmp"/off "$tmp"/blocks "$tmp"/on
	for turn in 1 2 3 4 5 6 7; do
		: "$turn"
		once release "$library" '' "$@"
		once off "$debug" lock_check:off,block_check:false "$@"
		once blocks "$debug" lock_check:off "$@"
		once on "$debug" '' "$@"
	done
	awk -v label="$label" -v release="$(median release)" -v off="$(median off)" -v blocks="$(median blocks)" \
		-v on="$(median on)" 'BEGIN {
		printf "%-12s release library %5d ms, debug library without checks %.2f times that, " \
			"with block check %.2f times, with lock check as well %.2f times\n",
			label, release, off / release, blocks / release, on / release }'
}
compare python3 /usr/bin/python3 -c 'import json
for i in range(30): json.loads(json.dumps([{"a": str(j), "b": [j] * 5} for j in range(5000)]))'
# shellcheck disable=SC2016
compare perl perl -e 'my %h; $h{$_ % 50000} .= "x" x ($_ % 20) for 1 .. 1000000;'
compare sqlite3 sqlite3 :memory: 'create table t(a, b); with recursive c(x) as (select 1 union all select x + 1 from c
	where x < 300000) insert into t select x, printf("%050d", x) from c; create index i on t(b);'
compare node node -e 'const a = []; for (let i = 0; i < 3e5; i++) a.push({i, s: "x" + i}); JSON.parse(JSON.stringify(a))'
