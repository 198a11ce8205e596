# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
# To be sourced: makes a memory cgroup of version 1 below our own. Exit status 77 where that can't
# be had.

# make_group MIB: sets $group, and removes it at the end.
make_group()
{
	own=$(sed -n 's/^[0-9]*:memory:\(.*\)$/\1/p' /proc/self/cgroup)
	mount=$(awk '$0 ~ / - cgroup / && $NF ~ /(^|,)memory(,|$)/ { print $5 }' \
		/proc/self/mountinfo)
	group=${mount}${own%/}/oomreclaim.$$
	if [ -z "$mount" ] || ! mkdir "$group" 2>/dev/null; then
		echo "skipped: no memory cgroup of version 1 to be made here"
		exit 77
	fi
	trap remove_group EXIT
	echo $(($1 << 20)) >"$group/memory.limit_in_bytes"
}

# What was killed takes a moment to leave.
remove_group()
{
	for pid in $(cat "$group/cgroup.procs"); do
		kill -9 "$pid" 2>/dev/null || :
	done
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		rmdir "$group" 2>/dev/null && return
		sleep 0.2
	done
}

# in_group CONF PRELOAD COMMAND...: in the group, and in a process group of its own.
in_group()
{
	# shellcheck disable=SC2016
	setsid -w sh -c 'echo $$ >"$1/cgroup.procs" && conf=$2 preload=$3 && shift 3 &&
		exec env OOMRECLAIM_CONF="$conf" LD_PRELOAD="$preload" "$@"' sh "$group" "$@"
}

# killed: how many processes of the group the kernel has killed.
killed()
{
	sed -n 's/^oom_kill //p' "$group/memory.oom_control"
}
