#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# trace.sh LIBRARY PROGRAM DOCUMENT SCRIPTS The trace points: those that the ELF notes have are
# those of the document, and bpftrace sees a run of PROGRAM go through them with the scripts of the
# examples; by perf, where a failure comes from. Skipped where nothing may be traced.
set -eu

library=$(realpath "$1") program=$(realpath "$2") document=$3 scripts=$4
if ! grep -qs STAP_PROBE /usr/include/sys/sdt.h /usr/include/*/sys/sdt.h; then
	echo "skipped: systemtap-sdt-dev is not installed"
	exit 77
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

readelf --notes "$library" | grep -A1 'Provider: oomreclaim$' | sed -n 's/^ *Name: //p' |
	sort -u >"$tmp/notes"
# shellcheck disable=SC2016
sed -n 's/^| `\([a-z_]*\)` .*/\1/p' "$document" | sort -u >"$tmp/documented"
if [ ! -s "$tmp/notes" ] || ! diff "$tmp/documented" "$tmp/notes"; then
	echo "FAIL: the document has other trace points than the library"
	exit 1
fi
echo "ok: $(wc -l <"$tmp/notes") trace points"

# with_tracing COMMAND...: where the tracing files are not mounted, in a mount namespace where they
# are.
with_tracing()
{
	# shellcheck disable=SC2016
	exec unshare -m sh -c '
		[ -e /sys/kernel/debug/tracing/uprobe_events ] ||
			mount -t debugfs none /sys/kernel/debug || exit 77
		exec "$@"' sh "$@"
}

# trace SCRIPT: until it is interrupted.
trace()
{
	with_tracing timeout --foreground -s INT 60 bpftrace -B line "$1"
}

echo 'BEGIN { exit(); }' >"$tmp/nothing.bt"
if ! (trace "$tmp/nothing.bt") >/dev/null 2>&1; then
	echo "skipped: bpftrace does not work here"
	exit 77
fi
for script in ladder callbacks; do
	sed "s|liboomreclaim.so.0|$library|" "$scripts/$script.bt" >"$tmp/$script.bt"
	cat >>"$tmp/$script.bt" <<'END'
BEGIN { printf("attached\n"); }
END
	: >"$tmp/$script.out"
	(trace "$tmp/$script.bt") >"$tmp/$script.out" 2>"$tmp/$script.err" &
	tracer=$!
	until grep -q attached "$tmp/$script.out"; do
		kill -0 $tracer 2>/dev/null || {
			echo "FAIL: $script.bt"
			cat "$tmp/$script.out" "$tmp/$script.err"
			exit 1
		}
		sleep 0.1
	done
	OOMRECLAIM_CONF=limit:64M LD_PRELOAD=$library "$program"
	kill -INT $tracer
	wait $tracer || :
done

# sees SCRIPT REGEX
sees()
{
	if ! grep -qE "$2" "$tmp/$1.out"; then
		echo "FAIL: $1.bt: no line like $2"
		cat "$tmp/$1.out" "$tmp/$1.err"
		exit 1
	fi
}
sees ladder '^@failures: [1-9]'
sees ladder '^@steps\[1\]: [1-9]'
sees ladder '^@steps\[3\]: [1-9]'
sees ladder '^@served_us:'
sees callbacks '^@calls\[[a-z]+\]: [1-9]'
sees callbacks '^@claimed_bytes\[[a-z]+\]: [1-9][0-9]{5}'
sees callbacks '^@measured_bytes\[[a-z]+\]: [1-9][0-9]{5}'
echo "ok: a run was traced"

# ---- perf, as the document says ----
cat >"$tmp/perf.sh" <<'END'
# perf.sh LIBRARY PROGRAM
export HOME="$PWD"
if perf probe --list 2>&1 | grep -q sdt_oomreclaim; then
	echo "somebody else's probe is there" >&2
	exit 77
fi
perf buildid-cache --add "$1" && perf probe sdt_oomreclaim:failure || exit 77
OOMRECLAIM_CONF=limit:64M perf record -o data -e sdt_oomreclaim:failure --call-graph dwarf -- \
	env LD_PRELOAD="$1" "$2"
perf script -i data >script
perf probe --del 'sdt_oomreclaim:*'
END
if ! command -v perf >/dev/null; then
	echo "skipped: perf is not installed"
	exit 0
fi
status=0
(cd "$tmp" && with_tracing sh ./perf.sh "$library" "$program") >"$tmp/perf.out" 2>&1 || status=$?
if [ $status -eq 77 ]; then
	echo "skipped: perf does not work here"
	cat "$tmp/perf.out"
	exit 0
fi
for pattern in ' sdt_oomreclaim:failure: .* arg1=[1-9][0-9]* arg2=0 arg3=0' ' ladder_run[+]' ' main[+]'; do
	if ! grep -q "$pattern" "$tmp/script"; then
		echo "FAIL: perf: no line like $pattern"
		cat "$tmp/perf.out"
		head -n 30 "$tmp/script"
		exit 1
	fi
done
echo "ok: perf sees where failures come from"
