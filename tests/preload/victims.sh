#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# victims.sh LIBRARY VICTIMS
# Who dies in a real memory cgroup: one for many threads, a whole group, and never another user's.
set -eu

# shellcheck source=tests/preload/cgroup.sh
. "$(dirname "$0")/cgroup.sh"
make_group 240
tmp=$(mktemp -d)
mkdir "$group/below" "$group/beside"
stranger=
finish()
{
	[ -z "$stranger" ] || kill -9 "$stranger" 2>/dev/null || :
	sleep 0.2
	rmdir "$group/below" "$group/beside" || :
	rm -rf "$tmp"
	remove_group
}
trap finish EXIT

# Where another user may read them.
chmod 755 "$tmp"
cp "$1" "$tmp/library"
cp "$2" "$tmp/victims"
export GROUP="$group"
all=limit:auto-5%,policy:kill,costly:off,verbose:true

# passes NAME KILLS CONF COMMAND...: exit status 0 and so many kills reported.
passes()
{
	name=$1 kills=$2 conf=$3
	shift 3
	status=0
	in_group "$conf" "$tmp/library" "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
	if [ $status -ne 0 ] || [ "$(grep -c '^Out of memory: Killed' "$tmp/err")" -ne "$kills" ]; then
		echo "FAIL: $name: status $status"
		cat "$tmp/out" "$tmp/err"
		exit 1
	fi
	echo "ok: $name"
}

passes crowd 1 "$all,kill_target:children" "$tmp/victims" crowd
passes group 1 "$all,kill_target:cgroup,kill_group:true" "$tmp/victims" group

passes disabled 0 "$all,kill_target:children" "$tmp/victims" disabled

# A namespace whose root is the group, as in a container. $OUTSIDE is the group above, by the mount
# that was there before. No process of the machine is in the table but those of the test.
mkdir "$tmp/above" "$tmp/own"
export OUTSIDE="$tmp/above$own/cgroup.procs"
# shellcheck disable=SC2016
passes container 1 "$all,kill_target:cgroup" unshare -m sh -c \
	'mount --bind "$2" "$3" && exec unshare -C -m -p -f --mount-proc sh -c "$1" sh "$4" "$5"' sh \
	'mount -t cgroup -o memory none "$1" && exec "$2" container' "$mount" "$tmp/above" \
	"$tmp/own" "$tmp/victims"

# Root's, and the worst of the group. The one who fails is nobody in particular.
in_group limit:off '' "$tmp/victims" sleeper >"$tmp/ready" &
while [ ! -s "$tmp/ready" ]; do
	sleep 0.05
done
stranger=$(cat "$group/cgroup.procs")
nobody='setpriv --reuid 65534 --regid 65534 --clear-groups'
# Words.
# shellcheck disable=SC2086
passes "another user's" 1 "$all,kill_target:cgroup" $nobody "$tmp/victims" stranger
grep -q "^oomreclaim: process $stranger may not be killed by this one: choosing another" "$tmp/err"
# The same where /proc does not even show it.
# shellcheck disable=SC2086,SC2016
passes "another user's, hidden" 1 "$all,kill_target:cgroup" unshare -m sh -c \
	'mount -t proc -o hidepid=invisible proc /proc && exec "$@"' sh $nobody "$tmp/victims" stranger
# And where it is shown, but not what it is.
# shellcheck disable=SC2086,SC2016
passes "another user's, closed" 1 "$all,kill_target:cgroup" unshare -m sh -c \
	'mount -t proc -o hidepid=noaccess proc /proc && exec "$@"' sh $nobody "$tmp/victims" stranger
grep -q "^oomreclaim: process $stranger: /proc: Operation not permitted, skipped" "$tmp/err"
kill -0 "$stranger" || {
	echo "FAIL: the other user's process is gone"
	exit 1
}
echo "ok: the other user's process lives"
