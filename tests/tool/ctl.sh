#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# ctl.sh TOOL LIBRARY WORKER MANUAL: each command, and what bad clients, other users, children and other processes
# come to. MANUAL is oomreclaim.conf(5).
set -eu

tool=$1 library=$2 worker=$3 manual=$4
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"
client=$(cd "$(dirname "$0")" && pwd)/ctl_client.py

controlled()
{
	start "$tool" run --library "$library" --limit 48M --control --stats --conf "oom_dump:$tmp" -- "$@"
	listens
}

# The thread for it is started at the first malloc(), and begins at some time.
listens()
{
	until "$tool" ctl "$pid" verbose off >/dev/null 2>"$tmp/err"; do
		is_like 'takes no commands' "$tmp/err"
		kill -0 "$pid"
		sleep 0.2
	done
}

# does PATTERN COMMAND...: a line like that.
does()
{
	pattern=$1
	shift
	expect 0 "$tool" ctl "$pid" "$@"
	is_like "$pattern" "$tmp/out"
}

# client HOW PATTERN: what it prints.
client()
{
	/usr/bin/python3 "$client" "$pid" "$1" >"$tmp/out" 2>"$tmp/err" || fail "$1: $(cat "$tmp/err")"
	is_like "$2" "$tmp/out"
}

# ---- Each command ----
controlled "$worker"
does '^callbacks gave [1-9][0-9]*K; charged [0-9]+K, before [0-9]+K$' reclaim 4M
does '^gave [1-9][0-9]*K; charged [0-9]+K$' callback 'the "cache"' 4M
does '^high 31457K, low 28311K; charged [0-9]+K$' high 64%
does '^limit 32768K; charged [0-9]+K$' limit 32M
does '^policy abort$' policy abort
does '^verbose on$' verbose on
does "^wrote $tmp/oomreclaim\.$pid\.asked\.1\.stats\.json\$" dump
python3 -m json.tool <"$tmp/oomreclaim.$pid.asked.1.stats.json" >/dev/null || fail "dump: no JSON"
[ "$(stat -c %a "$tmp/oomreclaim.$pid.asked.1.stats.json")" = 600 ] || fail "dump: others may read it"
does '^worker was asked for a report: pid [0-9]+, policy=abort$' report
is_like '^  callbacks:$' "$tmp/out"
is_like ' the "cache"$' "$tmp/out"
! grep '^  total: ' "$tmp/out" || fail "a total, where there is none"
refuses 1 "process $pid \(worker\): no callback has that name; report lists them" "$tool" ctl "$pid" callback x 1M
refuses 1 "process $pid \(worker\): above the limit of 32768K" "$tool" ctl "$pid" high 40M
expect 0 "$tool" stat --events "$pid"
is_like ' control      "limit 32M" by process [0-9]+$' "$tmp/out"
is_like ' control      "high 40M" by process [0-9]+, refused$' "$tmp/out"

# ---- Bad clients ----
client whole '^\+verbose off$'
client half '^-the request is not whole$'
client too-much '^-the request is too long$'
client nothing '^-no request has come$'
client early '^left$'
does '^policy return$' policy return
client flood '^flooded$'
does '^policy kill$' policy kill
client descriptors '^[0-9]+$'
[ "$(cat "$tmp/out")" -lt 16 ] || fail "descriptors that were sent stay open: $(cat "$tmp/out")"
if [ "$(id -u)" -eq 0 ]; then
	client other-user '^-this is for the user of the process, and for root$'
	expect 0 "$tool" stat --events "$pid"
	is_like ' control      "of another user" by process [0-9]+, refused$' "$tmp/out"
	cp "$tool" "$tmp/oomreclaim"
	chmod 755 "$tmp" "$tmp/oomreclaim"
	refuses 1 "process $pid \(worker\) belongs to user root; run this as that user or as root" \
		setpriv --reuid 65534 --clear-groups "$tmp/oomreclaim" ctl "$pid" report
fi

# ---- A name that anybody could open ----
for directory in /dev/shm /tmp /var/tmp; do
	[ -z "$(find "$directory" -maxdepth 1 -name ".oomreclaim-control.$pid.*")" ] || fail "a name in $directory"
done

# ---- A process that is stopped: no wait without end ----
kill -STOP "$pid"
refuses 1 "process $pid \(worker\) has not answered in 1 s: .*" "$tool" ctl --wait 1 "$pid" policy abort
kill -CONT "$pid"
does '^worker was asked for a report: ' report
kill -9 "$pid"

# ---- All descriptors closed ----
controlled "$worker" close
does '^policy abort$' policy abort
kill -9 "$pid"

# ---- A child does not serve its parent's, nor a parent its child's ----
cat >"$tmp/fork.py" <<'END'
import os, time
child = os.fork()
if child == 0:
    time.sleep(1.2)
    kept = bytearray(20 << 20)
    time.sleep(1000)
print("ready", child, flush=True)
time.sleep(1000)
END
rm -f "$tmp/fifo"
mkfifo "$tmp/fifo"
"$tool" run --library "$library" --control -- /usr/bin/python3 "$tmp/fork.py" >"$tmp/fifo" &
pid=$!
children="$children $pid"
read -r _ child <"$tmp/fifo"
children="$children $child"
parent=$pid pid=$child
listens
does '^policy abort$' policy abort
does 'policy=abort$' report
pid=$parent
does 'policy=return$' report
kill -9 "$child" "$parent"
# What processes share is in it.
start "$tool" run --library "$library" --total 128M --control -- "$worker"
listens
does '^  total: [1-9][0-9]*K/131072K charged by 1 processes, [1-9][0-9]*K of it by this one$' report
kill -9 "$pid"

# ---- What is not to be had ----
start "$tool" run --library "$library" -- "$worker"
refuses 1 "process $pid \(worker\) runs with oomreclaim, but takes no commands; start it with .*" "$tool" ctl "$pid" report
kill -9 "$pid"
start "$worker"
refuses 1 "process $pid \(worker\) runs without oomreclaim; start it with oomreclaim run --control" \
	"$tool" ctl "$pid" report
kill -9 "$pid"
start_zombie "$worker"
kill_zombie
refuses 1 "process $zombie \(worker\) has ended, .*" "$tool" ctl "$zombie" report
refuses 1 'there is no process 99999999; see ps' "$tool" ctl 99999999 report
refuses 2 'ctl: a process number and a command are needed; see .*' "$tool" ctl 1
refuses 2 'ctl: me is no process number; see .*' "$tool" ctl me report
refuses 2 'ctl: stop: there is no such command; see .*' "$tool" ctl 1 stop
refuses 2 'ctl: reclaim: the form is: reclaim SIZE; see .*' "$tool" ctl 1 reclaim
refuses 2 'ctl: --wait 0: not a number of seconds, 1 to 86400; see .*' "$tool" ctl --wait 0 1 report

# ---- One that leads elsewhere: to the socket of another process, which has no name either ----
cat >"$tmp/trap.py" <<'END'
import ctypes, os, signal, socket, sys
path = sys.argv[1] + "/.oomreclaim-control.1.1"
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(path)
place = os.open(path, os.O_PATH)
os.unlink(path)
# The socket is that of the process that calls listen().
listens, is_listening = os.pipe()
if os.fork() == 0:
    s.listen()
    os.write(is_listening, b"1")
    s.settimeout(60)
    try:
        client, _ = s.accept()
        got = client.recv(100)
    except OSError as error:
        got = error
    open(sys.argv[1] + "/got", "w").write(repr(got))
    os._exit(0)
os.read(listens, 1)
ctypes.CDLL(None).prctl(15, b"oomreclaim-poll")
print("ready", flush=True)
signal.pause()
END
start /usr/bin/python3 "$tmp/trap.py" "$tmp"
refuses 1 "process $pid \(oomreclaim-poll\) leads to the socket of another process; nothing was sent" \
	"$tool" ctl "$pid" report
until [ -s "$tmp/got" ]; do
	sleep 0.1
done
[ "$(cat "$tmp/got")" = "b''" ] || fail "something was sent: $(cat "$tmp/got")"
kill -9 "$pid"

# ---- The calls of the thread that listens are those that the manual lists ----
if ! strace -qq -o /dev/null /bin/true 2>/dev/null; then
	echo "nothing may be traced here: the calls are not looked at"
	verdict
fi
start strace -f -qq -o "$tmp/trace" -E "LD_PRELOAD=$library" -E OOMRECLAIM_CONF=control:true "$worker"
# No newline is at its end.
traced=$(tr -d ' ' <"/proc/$pid/task/$pid/children")
children="$children $traced"
pid=$traced
listens
does '^policy abort$' policy abort
client nothing '^-no request has come$'
kill -9 "$traced"
thread=$(sed -n 's/^\([0-9]*\) *prctl(PR_SET_NAME, "oomreclaim-poll".*/\1/p' "$tmp/trace")
[ -n "$thread" ] || fail "no thread oomreclaim-poll in the trace"
for set in heap thread table control; do
	sed -n "/^\.It Em $set\$/,/^\.It\|^\.El/p" "$manual" | grep -v '^\.' | tr ' ' '\n'
done | sort -u >"$tmp/listed"
sed -n "s/^$thread *\([a-z_0-9]*\)(.*/\1/p" "$tmp/trace" | sort -u >"$tmp/called"
grep -qx accept4 "$tmp/called" || fail "no accept4 in the trace"
comm -23 "$tmp/called" "$tmp/listed" >"$tmp/missing"
[ ! -s "$tmp/missing" ] || fail "not in the manual: $(cat "$tmp/missing")"
verdict
