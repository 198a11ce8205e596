#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# secure.sh LIBRARY TOOL SOURCE-ROOT CC: the lines of SECURITY.md, with real programs that are
# set-user-ID, set-group-ID, or have file capabilities, and what other users choose for them.
set -eu

library=$1 tool=$2 include=$3/include cc=$4
unset MEMORY_PRESSURE_WATCH MEMORY_PRESSURE_WRITE
if [ "$(id -u)" -ne 0 ]; then
	echo "skipped: only root can make such programs"
	exit 77
fi
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/../tool/common.sh"

# wait_until_ready PID: until it has written to $tmp/ready; it is killed at the end.
wait_until_ready()
{
	children="$children $1"
	until [ -s "$tmp/ready" ]; do
		kill -0 "$1"
		sleep 0.1
	done
}

as_nobody()
{
	# By way of env: setpriv itself still has all capabilities when it executes.
	setpriv --reuid=65534 --regid=65534 --clear-groups env "$@"
}

# ---- The environment ----
cp "$library" "$tmp/liboomreclaim.so.0"
cp "$tool" "$tmp/oomreclaim"
mkfifo "$tmp/fifo"
# What is compiled in holds everywhere.
cat >"$tmp/program.c" <<'END'
#include <dirent.h>
#include <oomreclaim.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

const char *oomreclaim_conf = "stats:true,pressure:auto";
extern int mallctl(const char *, void *, size_t *, void *, size_t);

static size_t give(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	return 0;
}

/* True once oomreclaimd has opened it. */
static int has_open(const char *name)
{
	char link[512];
	int is_found = 0, dir = dirfd(opendir("/proc/self/fd"));

	for (int fd = 0; fd < 4096 && !is_found; fd++) {
		char path[16];
		ssize_t length;

		snprintf(path, sizeof path, "%d", fd);
		length = readlinkat(dir, path, link, sizeof link - 1);
		link[length > 0 ? length : 0] = '\0';
		is_found = strcmp(link, name) == 0;
	}
	return is_found;
}

int main(int argc, char **argv)
{
	unsigned arenas = 0;
	size_t bytes = sizeof arenas;
	int is_open = 0;

	oomreclaim_register("give", 0, 0, give, NULL, NULL);
	mallctl("opt.narenas", &arenas, &bytes, NULL, 0);
	for (int i = 0; i < 50 && !is_open; i++) {
		is_open = argc > 1 && has_open(argv[1]);
		usleep(10000);
	}
	printf("secure=%d dumpable=%d limit=%d arenas=%d watch=%d\n", getauxval(AT_SECURE) != 0,
	       prctl(PR_GET_DUMPABLE), oomreclaim_get_limit() != SIZE_MAX, arenas == 3, is_open);
	fflush(stdout);
	if (argc > 2 && strcmp(argv[2], "fail") == 0)
		while (malloc(1 << 20) != NULL)
			;
	else if (argc > 2)
		for (;;)
			pause();
	return 0;
}
END
# The compiler may be several words.
# shellcheck disable=SC2086
$cc -D_GNU_SOURCE -fno-builtin -I"$include" -o "$tmp/program" "$tmp/program.c" "$tmp/liboomreclaim.so.0" -Wl,-rpath,"$tmp"
# shellcheck disable=SC2086
$cc -D_GNU_SOURCE -I"$include" -o "$tmp/dumpable" -x c - <<'END'
#include <stdio.h>
#include <sys/prctl.h>
int main(void) { printf("%d\n", prctl(PR_GET_DUMPABLE)); return 0; }
END
chmod 755 "$tmp" "$tmp/program" "$tmp/dumpable" "$tmp/liboomreclaim.so.0" "$tmp/oomreclaim"
chmod 666 "$tmp/fifo"

# says NAME EXPECTED PROGRAM: started by nobody with an environment that asks for all there is.
says()
{
	name=$1 expected=$2 program=$3
	as_nobody OOMRECLAIM_CONF=limit:64M,policy:abort,fail_page:100 MALLOC_CONF=narenas:3 \
		MEMORY_PRESSURE_WATCH="$tmp/fifo" "$program" "$tmp/fifo" >"$tmp/out" 2>"$tmp/err" ||
		fail "$name: status $?"
	[ "$(cat "$tmp/out")" = "$expected" ] || fail "$name: $(cat "$tmp/out"), expected $expected"
	[ ! -s "$tmp/err" ] || fail "$name: $(cat "$tmp/err")"
}

as_nobody OOMRECLAIM_CONF=limit:64M MALLOC_CONF=narenas:3 MEMORY_PRESSURE_WATCH="$tmp/fifo" \
	"$tmp/program" "$tmp/fifo" >"$tmp/out"
[ "$(cat "$tmp/out")" = "secure=0 dumpable=1 limit=1 arenas=1 watch=1" ] ||
	fail "without privileges: $(cat "$tmp/out")"

for kind in set-user-ID set-group-ID capability; do
	for file in program dumpable; do
		cp "$tmp/$file" "$tmp/$kind-$file"
		case $kind in
		set-user-ID) chmod 4755 "$tmp/$kind-$file" ;;
		set-group-ID) chmod 2755 "$tmp/$kind-$file" ;;
		capability) setcap cap_net_bind_service+ep "$tmp/$kind-$file" ;;
		esac
	done
	dumpable=$(as_nobody "$tmp/$kind-dumpable")
	says $kind "secure=1 dumpable=$dumpable limit=0 arenas=0 watch=0" "$tmp/$kind-program"
	# The loader looks for a library to preload in its own directories alone.
	as_nobody LD_PRELOAD="$tmp/liboomreclaim.so.0" OOMRECLAIM_CONF=nonsense "$tmp/$kind-dumpable" \
		>"$tmp/out" 2>"$tmp/err" || fail "$kind, preload: status $?"
	! grep -q 'oomreclaim: OOMRECLAIM_CONF' "$tmp/err" || fail "$kind: it was preloaded"

	# What such a process shares is not for the user that started it.
	rm -f "$tmp/ready"
	setpriv --reuid=65534 --regid=65534 --clear-groups "$tmp/$kind-program" "$tmp/fifo" stay >"$tmp/ready" &
	pid=$!
	wait_until_ready $pid
	status=0
	as_nobody "$tmp/oomreclaim" stat $pid >"$tmp/out" 2>"$tmp/err" || status=$?
	[ "$status$(cat "$tmp/out")" = 1 ] || fail "$kind: nobody reads its page"
	"$tmp/oomreclaim" stat $pid >"$tmp/out" || fail "$kind: root does not read its page"
	kill -9 $pid
done

# sudo, su and cron start programs without privileges of their own: what they let through is taken.
env SUDO_UID=1000 SUDO_USER=somebody OOMRECLAIM_CONF=limit:64M "$tmp/program" >"$tmp/out"
grep -q 'secure=0 .*limit=1' "$tmp/out" || fail "beneath sudo: $(cat "$tmp/out")"

# ---- Files that settings name: what is no file of the kernel is not written to, and none is waited
# for ----
mkdir "$tmp/group"
echo data >"$tmp/group/cgroup.event_control"
echo data >"$tmp/group/memory.pressure_level"
for path in "$tmp/group/memory.pressure_level" "$tmp/group/cgroup.event_control" /dev/zero; do
	OOMRECLAIM_CONF=pressure:$path timeout 20 "$tmp/program" "$tmp/fifo" >"$tmp/out" 2>"$tmp/err" ||
		fail "pressure:$path: status $?"
	grep -qx "oomreclaim: pressure: $path: Invalid argument; not watched" "$tmp/err" ||
		fail "pressure:$path: $(cat "$tmp/err")"
done
[ "$(cat "$tmp/group/cgroup.event_control")" = data ] || fail "cgroup.event_control was written to"
rm "$tmp/group/cgroup.event_control"
mkfifo "$tmp/group/cgroup.event_control"
OOMRECLAIM_CONF=pressure:$tmp/group/memory.pressure_level timeout 20 "$tmp/program" "$tmp/fifo" >"$tmp/out" 2>"$tmp/err" ||
	fail "a FIFO in place of cgroup.event_control: status $?"
grep -q '; not watched$' "$tmp/err" || fail "a FIFO in place of cgroup.event_control: $(cat "$tmp/err")"
[ "$(cat "$tmp/group/memory.pressure_level")" = data ] || fail "memory.pressure_level was written to"

# ---- Names that processes give themselves, in what root reads ----
cp "$tmp/program" "$tmp/$(printf 'a\033[2Jb')"
rm -f "$tmp/ready"
"$tmp/$(printf 'a\033[2Jb')" "$tmp/fifo" stay >"$tmp/ready" &
pid=$!
wait_until_ready $pid
# In the report as well.
OOMRECLAIM_CONF=limit:64M,report:always "$tmp/$(printf 'a\033[2Jb')" "$tmp/fifo" fail >/dev/null 2>"$tmp/report"
"$tmp/oomreclaim" stat $pid >"$tmp/out" 2>&1 || fail "stat: $(cat "$tmp/out")"
"$tmp/oomreclaim" top --count 1 >>"$tmp/out" 2>&1 || fail "top: $(cat "$tmp/out")"
"$tmp/oomreclaim" stat --json $pid >>"$tmp/out"
# A script's, in what is said of it.
printf '#!/tmp/a\033[2Jb\n' >"$tmp/script"
chmod +x "$tmp/script"
"$tmp/oomreclaim" check "$tmp/script" >>"$tmp/out" 2>&1 || :
grep -q 'a?\[2Jb' "$tmp/out" || fail "its name: $(cat "$tmp/out")"
[ "$(tr -d '[:print:]\n' <"$tmp/out" | wc -c)" -eq 0 ] || fail "control characters: $(cat -v "$tmp/out")"
grep -q 'a?\[2Jb' "$tmp/report" || fail "its name in the report: $(cat -v "$tmp/report")"
[ "$(tr -d '[:print:]\n' <"$tmp/report" | wc -c)" -eq 0 ] ||
	fail "control characters in the report: $(cat -v "$tmp/report")"

verdict
