#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# places.sh POLICY CALLBACK BUDGET MOVED LIBRARY...: each library in a directory without /proc, /sys and /dev, and in a
# memory cgroup that is removed while the program runs.
set -eu

policy=$1 callback=$2 budget=$3 moved=$4
shift 4
# For common.sh.
tool=
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/../tool/common.sh"
if [ "$(id -u)" -ne 0 ]; then
	echo "skipped: only root can change its root directory"
	exit 77
fi

# ---- A directory of its own ----
root=$tmp/root
mkdir "$root"
# install FILE...: with the libraries that these need, where they are found.
install()
{
	for file in "$@"; do
		cp -L "$file" "$root/${file##*/}"
		ldd "$file" | grep -o '/[^ ]*' | while read -r needed; do
			mkdir -p "$root${needed%/*}"
			cp -L "$needed" "$root$needed"
		done
	done
}
install "$policy" "$callback" "$budget" "$@"
policy=/${policy##*/} callback=/${callback##*/} budget=/${budget##*/}

# inside STATUS CONF COMMAND...: in there, under 128 MiB of addresses; $library is preloaded.
inside()
{
	wanted=$1 conf=$2
	shift 2
	status=0
	# The loader of chroot looks for the library as well, and does not find it.
	LD_PRELOAD=$library OOMRECLAIM_CONF=$conf prlimit --as=$((128 << 20)) chroot "$root" "$@" \
		>"$tmp/out" 2>"$tmp/all" || status=$?
	grep -v '^ERROR: ld.so: object' "$tmp/all" >"$tmp/err" || :
	[ $status -eq "$wanted" ] || fail "$library, $conf, $*: status $status: $(cat "$tmp/out" "$tmp/err")"
}

# has PATTERN: a line of what was said.
has()
{
	is_like "$1" "$tmp/err"
}

without_proc()
{
	inside 0 report:always "$policy" small
	has '^\? invoked oom-reclaim: size=4096, .*policy=return$'
	has '^  tried: 1 rounds of callbacks, 0K claimed, [0-9]+ ms; pid [0-9]+, \? threads$'
	has '^  limits: usage unknown$'
	has '^Out of memory: returning NULL to process [0-9]+ \(\?\)$'
	inside 0 "report:always,log:/log,oom_dump:/" "$policy" small
	grep -q '^? invoked oom-reclaim' "$root/log" || fail "$library: no report in the log"
	inside 134 policy:abort "$policy" small
	has '^Out of memory: aborting process [0-9]+ \(\?\)$'
	inside 137 policy:kill "$policy" small
	has '^Out of memory: Killed process [0-9]+ \(\?\)'
	for conf in limit:64M limit:64M,stats:true; do
		inside 0 "$conf" "$budget" callback
		[ ! -s "$tmp/err" ] || fail "$library, $conf: $(cat "$tmp/err")"
	done
	# No limit of a group is to be seen, and no pressure.
	inside 0 limit:auto,pressure:auto "$callback" cache
	has '^oomreclaim: pressure: .*; not watched$'
	rm -f "$root"/log* "$root"/*.heap "$root"/*.json
}

# ---- A group that goes ----
# shellcheck source=tests/preload/cgroup.sh
. "$(dirname "$0")/cgroup.sh"

while_the_group_goes()
{
	mkdir "$group/first" "$group/second"
	echo $((64 << 20)) >"$group/second/memory.limit_in_bytes"
	mkfifo "$tmp/said" "$tmp/told"
	# shellcheck disable=SC2016
	sh -c 'echo $$ >"$1/first/cgroup.procs" && exec env OOMRECLAIM_CONF=limit:auto LD_PRELOAD="$2" "$3"' sh \
		"$group" "$library" "$moved" <"$tmp/told" >"$tmp/said" &
	pid=$!
	children="$children $pid"
	exec 3>"$tmp/told" 4<"$tmp/said"
	read -r word <&4 || :
	[ "$word" = ready ] || fail "$library: not ready"
	echo $pid >"$group/second/cgroup.procs"
	rmdir "$group/first"
	echo go >&3
	got=killed
	read -r got <&4 || :
	wait $pid || fail "$library: status $? where its group goes"
	{ [ "$got" -gt 32 ] && [ "$got" -lt 64 ]; } || fail "$library: $got MiB in a group of 64 MiB"
	exec 3>&- 4<&-
	rm "$tmp/said" "$tmp/told"
	rmdir "$group/second"
}

for library in "$@"; do
	library=/${library##*/} without_proc
done
make_group 256
trap 'remove_group; finish' EXIT
for library in "$@"; do
	while_the_group_goes
done
verdict
