#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# queryserver.sh PROGRAM [SECONDS]: queryserver.c with glibc, with a limit, and with groups, each with one
# tenant that wants more than there is; with groups and enough for that tenant; and without it. The
# command `oomreclaim` is the one in PATH, or $OOMRECLAIM.
set -eu

program=$1 seconds=${2:-10} oomreclaim=${OOMRECLAIM:-oomreclaim}

# row NAME COMMAND...
row()
{
	name=$1
	shift
	if ! line=$("$@" --seconds "$seconds"); then
		printf '%-24s ended: %s\n' "$name" "$line"
		return
	fi
	echo "$name: $line" | awk -F'[:;,] *' '{
		for (i = 1; i <= NF; i++) {
			split($i, word, " ")
			value[i] = word[1]
		}
		# name; small; done; failed; cancelled; latency ms; median; 99%; greedy; done; failed; cancelled
		split($7, median, " "); split($8, most, " ")
		has_greedy = NF > 8
		printf("%-24s %8d %8d %8d %10.1f %10.1f %8s %10s\n", $1, value[3], value[4], value[5],
			median[2], most[2], has_greedy ? value[11] : "-", has_greedy ? value[12] : "-")
	}'
}

printf '%-24s %28s %21s %19s\n' '' 'small queries' 'latency ms' 'greedy query'
printf '%-24s %8s %8s %8s %10s %10s %8s %10s\n' '' 'done' failed cancelled median '99%' failed cancelled
# Beside the heap there are the stacks of 16 threads, of 8 MiB each.
row glibc prlimit --data=$(((200 + 16 * 8 + 24) << 20)) "$program"
row 'a limit' "$oomreclaim" run --limit 200M -- "$program"
row groups "$oomreclaim" run --limit 256M -- "$program" --groups 200M
row 'groups (enough for all)' "$oomreclaim" run --limit 1G -- "$program" --groups 900M --enough
row 'groups (nobody greedy)' "$oomreclaim" run --limit 256M -- "$program" --groups 200M --nobody-greedy
