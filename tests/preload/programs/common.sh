# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
#
# Sourced by the tests beside it, which are called as `script.sh PATH/TO/liboomreclaim.so.0`. Gives
# them $tmp, a directory of their own and the current one, and the functions below.

set -eu

if [ $# -ne 1 ] || [ ! -r "$1" ]; then
	echo "usage: $0 PATH/TO/liboomreclaim.so.0" >&2
	exit 2
fi

# The distribution's programs, not whatever else comes first.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin
LC_ALL=C.UTF-8
TZ=UTC
export PATH LC_ALL TZ
unset LD_PRELOAD LD_LIBRARY_PATH MALLOC_CONF MALLOC_PERTURB_ OOMRECLAIM_CONF

here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)

# What a test has to stop before its directory goes; it may define this anew.
stop() {
	:
}

finish() {
	status=$?
	trap - EXIT
	stop || :
	cd /
	rm -rf "$tmp"
	exit "$status"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Prints why, and as evidence what is in the files that follow.
fail() {
	echo "FAIL: $1" >&2
	shift
	for evidence; do
		echo "--- $evidence" >&2
		tail -n 60 "$evidence" >&2
	done
	exit 1
}

skip() {
	echo "skipped: $1"
	exit 77
}

note() {
	echo "ok: $1"
}

# The test is skipped where a program is missing.
need() {
	for program; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

# A copy: LD_PRELOAD can't name a path with blanks, and other users may have no way to this one.
chmod 755 "$tmp"
lib=$tmp/liboomreclaim.so.0
cp -L "$1" "$lib"
chmod 755 "$lib"
cc -shared -fPIC -D_GNU_SOURCE -Wall -o "$tmp/witness.so" "$here/witness.c"
preload="$lib $tmp/witness.so"
witness=$tmp/witness.txt
: >"$witness"
chmod 666 "$witness"
cd "$tmp"

preload() {
	env LD_PRELOAD="$preload" WITNESS="$witness" "$@"
}

# Fails unless programs of these names ran with the library's malloc(), and none without.
witnessed() {
	for program; do
		grep -qxF "$program $lib" "$witness" ||
			fail "no $program ran with the library" "$witness"
	done
	if grep -vF " $lib" "$witness" >"$tmp/strangers"; then
		fail "another malloc was used" "$tmp/strangers"
	fi
}

# compare LABEL COMMAND...: the same output, the same status with the preload and without it. The
# output stays in LABEL.preload.
compare() {
	label=$1
	shift
	status_plain=0 status_preload=0
	"$@" >"$tmp/$label.plain" 2>"$tmp/$label.plain.err" </dev/null || status_plain=$?
	preload "$@" >"$tmp/$label.preload" 2>"$tmp/$label.preload.err" </dev/null ||
		status_preload=$?
	[ "$status_plain" -eq 0 ] ||
		fail "$label: status $status_plain even without the preload" "$tmp/$label.plain.err"
	[ "$status_preload" -eq 0 ] ||
		fail "$label: status $status_preload" "$tmp/$label.preload.err"
	cmp "$tmp/$label.plain" "$tmp/$label.preload" ||
		fail "$label: another output" "$tmp/$label.plain" "$tmp/$label.preload"
	cmp "$tmp/$label.plain.err" "$tmp/$label.preload.err" ||
		fail "$label: other messages" "$tmp/$label.plain.err" "$tmp/$label.preload.err"
	note "$label"
}
