#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# modules.sh LIBRARY CC INCLUDE SOURCE-ROOT MODULES: the setting modules. What is wrong with a
# module is told in one line, and the program goes on; one that is right is called.
set -eu

library=$1 cc=$2 include=$3 root=$4 modules=$5
# For common.sh.
tool=
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/../tool/common.sh"
chmod 755 "$tmp"
mkdir "$tmp/oomreclaim"
cp "$library" "$tmp/liboomreclaim.so.0"
before=

# The compiler may be several words.
# shellcheck disable=SC2086
build()
{
	$cc -D_GNU_SOURCE -shared -fPIC -I"$include" "$@"
}

# on CONF COMMAND...: output in $tmp/out and $tmp/err.
on()
{
	conf=$1
	shift
	# Words, or none:
	# shellcheck disable=SC2086
	$before env LD_PRELOAD="$tmp/liboomreclaim.so.0" OOMRECLAIM_CONF="$conf" "$@" >"$tmp/out" 2>"$tmp/err" \
		</dev/null || fail "$conf: status $?"
}

# refused LIST PATTERN: one line, like that.
refused()
{
	on "modules:$1" echo on
	[ "$(cat "$tmp/out")" = on ] || fail "$1: the program did not go on"
	if [ "$(wc -l <"$tmp/err")" -ne 1 ] || ! grep -Eq "^oomreclaim: modules: $2; left out\$" "$tmp/err"; then
		fail "$1: not the one line $2, but:"
		cat "$tmp/err"
	fi
}

for kind in CRASH EXIT HANG NO_ABI OTHER_ABI MISSING REFUSE; do
	build -D$kind -o "$tmp/oomreclaim/$kind.so" "$root/tests/preload/bad_module.c"
done
echo nothing >"$tmp/text.so"
refused CRASH '.*/CRASH.so: (Illegal instruction|Trace/breakpoint trap)'
refused EXIT '.*/EXIT.so: it ends the process'
# Whatever signals the program is started with: none of them is needed to see that.
before='env --block-signal=ALRM'
refused HANG ".*/HANG.so: it does not come to an end"
before=
refused NO_ABI '.*/NO_ABI.so: not a module of oomreclaim'
refused OTHER_ABI '.*/OTHER_ABI.so: made for another version of oomreclaim'
refused MISSING ".*/MISSING.so: it can't be loaded, or a library that it needs is missing"
refused REFUSE '.*/REFUSE.so: it refused to start; is its argument right\?'
refused "$tmp/text.so" ".*/text.so: it can't be loaded, or a library that it needs is missing"
refused nowhere 'nowhere: no such module in the directory oomreclaim beside the library'
refused "$tmp/nowhere.so" '.*/nowhere.so: No such file or directory'
refused "oomreclaim/REFUSE.so" 'oomreclaim/REFUSE.so: neither a name nor an absolute path'
cp "$modules"/*.so "$tmp/oomreclaim/"
refused exec=relative '.*/exec.so: it refused.*'
refused signal=KILL '.*/signal.so: it refused.*'
refused fifo '.*/fifo.so: it refused.*'
refused "signal=HUP+signal=USR1" '.*/signal.so: it refused.*'

# One that crashes leaves no core file behind.
mkdir "$tmp/cores"
if prlimit --core=unlimited true 2>/dev/null; then
	cd "$tmp/cores"
	before='prlimit --core=unlimited'
	refused CRASH '.*/CRASH.so: .*'
	before=
	cd "$tmp"
	[ -z "$(ls cores)" ] || fail "a core file: $(ls cores)"
fi

# Its trial takes descriptors that the program has closed, and gives them back.
(
	exec <&- >&-
	env LD_PRELOAD="$tmp/liboomreclaim.so.0" OOMRECLAIM_CONF=modules:signal=USR1 /usr/bin/python3 -c '
import os
assert [os.open("/", os.O_RDONLY), os.open("/", os.O_RDONLY)] == [0, 1]' 2>"$tmp/err"
) || fail "0 and 1 closed: status $?"
[ -s "$tmp/err" ] && fail "0 and 1 closed: $(cat "$tmp/err")"

# Nothing at all from one that is right; and it gives.
build -o "$tmp/mine.so" "$root/examples/module/mine.c"
cat >"$tmp/fill.py" <<'E2'
blocks = []
try:
    while True:
        blocks.append(bytearray(1 << 20))
except MemoryError:
    print(len(blocks))
E2
on limit:64M /usr/bin/python3 "$tmp/fill.py"
without=$(cat "$tmp/out")
on "limit:64M,modules:$tmp/mine.so=0+$tmp/oomreclaim/REFUSE.so" /usr/bin/python3 "$tmp/fill.py"
[ "$(wc -l <"$tmp/err")" -eq 1 ] || fail "one wrong, one right: $(cat "$tmp/err")"
on "limit:64M,modules:$tmp/mine.so=30" /usr/bin/python3 "$tmp/fill.py"
[ -s "$tmp/err" ] && fail "mine: $(cat "$tmp/err")"
with=$(cat "$tmp/out")
# 6 MiB are what a heap costs that lies across a multiple of 1 GiB, as one of the two may.
[ "$with" -ge $((without - 10)) ] || fail "its 30 MiB did not come back: $with blocks, without it $without"

# A program with privileges that its caller lacks: a directory that others may write is not trusted.
# The settings are compiled in, as the environment's are not read there; nor is LD_PRELOAD.
# shellcheck disable=SC2086
$cc -D_GNU_SOURCE -I"$include" -o "$tmp/secure" -x c - -x none "$tmp/liboomreclaim.so.0" -Wl,-rpath,"$tmp" <<E2
#include <oomreclaim.h>
#include <stdio.h>
const char *oomreclaim_conf = "modules:$tmp/mine.so=1";
int main(void) { puts(oomreclaim_version()); return 0; }
E2
chmod 755 "$tmp/secure" "$tmp"/*.so* "$tmp/oomreclaim"
"$tmp/secure" >"$tmp/out" 2>"$tmp/err"
[ -s "$tmp/err" ] && fail "not privileged: $(cat "$tmp/err")"
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	chmod 4755 "$tmp/secure"
	setpriv --reuid=65534 --regid=65534 --clear-groups \
		env OOMRECLAIM_CONF=modules:CRASH "$tmp/secure" >"$tmp/out" 2>"$tmp/err" || fail "set-user-ID: status $?"
	grep -q 'mine.so: others than root may write it or a directory above it; left out$' "$tmp/err" ||
		fail "set-user-ID: $(cat "$tmp/err")"
	[ "$(wc -l <"$tmp/err")" -eq 1 ] || fail "set-user-ID: $(cat "$tmp/err")"
fi

# Who is told to free memory does so: a process with a cache, above its watermark.
cat >"$tmp/cache.py" <<'E2'
import os, signal, sys, time

cache, dropped = [], []

def drop(*unused):
    dropped.append(len(cache))
    cache.clear()

signal.signal(signal.SIGUSR1, drop)
for i in range(60):
    cache.append(bytearray(1 << 20))
deadline = time.monotonic() + 120
while not dropped and time.monotonic() < deadline:
    time.sleep(0.01)
# Who is told late must not be killed by it: at its end Python takes its handlers away.
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
print("dropped" if sum(dropped) > 10 else "not dropped")
E2
# shellcheck disable=SC2016
printf '#!/bin/sh\nenv >%s/env\necho "$2" >%s/wanted\nexec kill -USR1 "$1"\n' "$tmp" "$tmp" >"$tmp/tell"
chmod +x "$tmp/tell"
mkfifo "$tmp/fifo"
(read -r pid bytes <"$tmp/fifo" && [ "$bytes" -gt 0 ] && kill -USR1 "$pid") &
children=$!
for module in signal=USR1 "exec=100:$tmp/tell" "fifo=2000:$tmp/fifo"; do
	on "limit:96M,high:48M,low:32M,modules:$module" /usr/bin/python3 "$tmp/cache.py"
	[ "$(cat "$tmp/out")" = dropped ] || fail "$module: $(cat "$tmp/out" "$tmp/err")"
done
grep -Eq '^(LD_PRELOAD|OOMRECLAIM_CONF)=' "$tmp/env" && fail "exec: the command has the library's environment"
[ "$(cat "$tmp/wanted")" -gt 0 ] || fail "exec: nothing wanted"

verdict
