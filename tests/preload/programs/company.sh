#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The library where it is not alone, or where something is missing that it might want: another
# allocator in the process, no stderr, no /proc, no descriptor, hardly any stack or address space,
# no right to read the environment.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

build() {
	cc -D_GNU_SOURCE -O1 -fno-builtin -Wall -Wextra -o "$@" -pthread
}
build company "$here/company.c"
build sweep "$here/sweep.c"

# beside LABEL PRELOADS WHOSE: with these preloads everything works; either the library's malloc()
# is used and nothing is said (ours), or the other's and one line says so (theirs).
beside() {
	seq 30000 | sort -R --random-source="$lib" >lines
	: >"$witness"
	for command in "./company work" "./company every" "sort -n lines"; do
		status=0
		# A command and its arguments.
		# shellcheck disable=SC2086
		env LD_PRELOAD="$2 $tmp/witness.so" WITNESS="$witness" $command >out 2>err ||
			status=$?
		[ "$status" -eq 0 ] || fail "$1: $command: status $status" err
		case $3 in
		ours)
			[ ! -s err ] || fail "$1: $command: messages" err
			;;
		theirs)
			grep -q '^oomreclaim: another allocator comes first: ' err ||
				fail "$1: $command: no word on the other allocator" err
			[ "$(wc -l <err)" -eq 1 ] || fail "$1: $command: more than one line" err
			;;
		esac
	done
	seq 30000 | cmp - out || fail "$1: sort: another output"
	case $3 in
	ours) witnessed company sort ;;
	theirs) ! grep -qF " $lib" "$witness" || fail "$1: two kinds of malloc" "$witness" ;;
	esac
	note "$1"
}

beside "alone" "$lib" ours
beside "twice" "$lib $lib" ours

found=0
for soname in libjemalloc.so.2 libmimalloc.so.2 libtcmalloc_minimal.so.4; do
	other=$(ldconfig -p | awk -v name="$soname" '$1 == name { print $NF; exit }')
	if [ -z "$other" ]; then
		note "$soname is not installed"
		continue
	fi
	found=$((found + 1))
	beside "$soname behind" "$lib $other" ours
	beside "$soname in front" "$other $lib" theirs
done

# The library in another copy is another allocator, too.
mkdir copy
cp "$lib" copy/
: >"$witness"
preload env LD_PRELOAD="$lib $tmp/copy/liboomreclaim.so.0" ./company work 2>err ||
	fail "two copies: status $?" err
[ "$(wc -l <err)" -le 1 ] || fail "two copies: more than one line" err
! grep -v '^oomreclaim: another allocator comes first: ' err || fail "two copies: messages" err
note "two copies"

# failing LABEL STATUS MODE: malloc() fails; the program ends with this status. If not, that is said
# by settle, because stderr may be gone here.
failing() {
	for size in 1048576 8000; do
		status=0
		preload ./company "$3" "$size" || status=$?
		[ "$status" -eq "$2" ] || failed="$1: $size bytes: status $status, not $2"
	done
}
failed=
settle() {
	[ -z "$failed" ] || fail "$failed" "$@"
}

# What there is to say is said, and then it matters where.
export OOMRECLAIM_CONF=report:always,verbose:true,nonsense:1
failing "messages" 0 fail 2>err
settle err
grep -q '^oomreclaim: .*nonsense' err || fail "the setting was not read" err
grep -q 'company invoked oom-reclaim: size=1048576, .*constraint=RLIMIT_AS' err ||
	fail "no report" err
note "messages"

failing "stderr closed" 0 fail 2>&-
failing "all closed" 0 fail <&- >&- 2>&-
failing "disk full" 0 fail >/dev/full 2>/dev/full
mkfifo pipe
exec 5<>pipe
exec 6>pipe
exec 5>&-
failing "nobody reads" 0 fail >&6 2>&6
exec 6>&- 5<>pipe
# As much as the pipe takes; dd ends with an error.
dd if=/dev/zero of=pipe bs=4096 count=4096 oflag=nonblock 2>/dev/null || :
failing "pipe full" 0 fail 2>&5
exec 5>&-
settle
note "stderr closed, full, without a reader"

failing "no descriptors" 0 fail-closed 2>err
settle err
grep -q 'invoked oom-reclaim' err || fail "no descriptors: no report" err
note "no descriptors"

# A mount namespace of its own, with nothing in /proc.
without_proc() {
	unshare --mount --propagation private sh -c 'mount -t tmpfs none /proc && exec "$@"' sh "$@"
}
if without_proc true 2>/dev/null; then
	without_proc env LD_PRELOAD="$lib" ./company work 2>err ||
		fail "no /proc: work: status $?" err
	without_proc env LD_PRELOAD="$lib" ./company fail 1048576 2>err ||
		fail "no /proc: status $?" err
	grep -q 'invoked oom-reclaim' err || fail "no /proc: no report" err
	note "no /proc"
else
	note "no /proc: not permitted here"
fi

# The smallest stack there is, for the longest way down: with a report, and with a policy.
failing "small stack" 0 fail-stack 2>err
settle err
grep -q 'invoked oom-reclaim' err || fail "small stack: no report" err
export OOMRECLAIM_CONF=policy:abort,costly:off
failing "abort on a small stack" 134 fail-stack 2>err
settle err
grep -q 'invoked oom-reclaim' err || fail "abort on a small stack: no report" err
note "small stack"

# A set-user-ID program must not listen to whoever starts it.
build linked "$here/company.c" "$lib" -Wl,-rpath,"$tmp"
export OOMRECLAIM_CONF=policy:abort,costly:off,nonsense:1
status=0
./linked fail 8000 2>err || status=$?
[ "$status" -eq 134 ] || fail "linked: status $status: the environment was not read" err
if [ "$(id -u)" -eq 0 ]; then
	chown nobody linked
	chmod 4755 linked
	status=0
	./linked fail-secure 8000 2>err || status=$?
	if [ "$status" -eq 17 ]; then
		note "set-user-ID: not possible in $tmp"
	else
		[ "$status" -eq 0 ] || fail "set-user-ID: status $status" err
		[ ! -s err ] || fail "set-user-ID: messages" err
		note "set-user-ID"
	fi
else
	note "set-user-ID: only for root"
fi
unset OOMRECLAIM_CONF

# Where the address space is hardly enough for the libraries, the program gets NULL, or does not
# start.
for resource in as data; do
	./sweep "$resource" "$lib" ./company small >sweep.out 2>sweep.err || {
		sort sweep.err | uniq -c >messages
		fail "sweep of RLIMIT_$resource" messages sweep.out
	}
	# The library's own and those of the dynamic linker.
	if grep -vE '^oomreclaim: |loading shared libraries|^ERROR: ld\.so|TLS data structures' \
		sweep.err >messages; then
		fail "sweep of RLIMIT_$resource: messages" messages
	fi
	note "sweep of RLIMIT_$resource: $(cat sweep.out)"
done
[ "$found" -gt 0 ] || skip "no other allocator is installed; the rest passed"
