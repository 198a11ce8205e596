#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# privileges.sh LIBRARY Programs that may have one thread only while they drop privileges or enter a
# user namespace: they do so whatever is set, and what they execute is served.
set -eu

library=$1
if [ "$(id -u)" -ne 0 ]; then
	echo "skipped: only root has privileges to drop"
	exit 77
fi
for tool in setpriv unshare; do
	command -v $tool >/dev/null || {
		echo "skipped: $tool is not installed"
		exit 77
	}
done
failed=0

# expect NAME COMMAND...: exits 0 with each of these settings.
expect()
{
	name=$1
	shift
	"$@" >/dev/null || {
		echo "skipped: $name does not work here without the library either"
		return 0
	}
	for conf in pressure:auto stats:true high:512M,stats:true,pressure:auto; do
		LD_PRELOAD=$library OOMRECLAIM_CONF=$conf "$@" >/dev/null || {
			echo "$name with $conf: exit status $?"
			failed=1
		}
	done
}

expect setpriv setpriv --reuid=65534 --regid=65534 --clear-groups /bin/true
expect capabilities setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all /bin/true
expect unshare unshare -U -r /bin/true
exit $failed
