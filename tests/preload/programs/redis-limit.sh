#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# redis-server with more data than its limit: malloc says no, redis says so and ends in its own way, with
# the report beside it; and with a limit of its own below, it evicts and none of this happens.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

need redis-server redis-cli redis-benchmark

socket=$tmp/redis.sock
server=

stop() {
	if [ -n "$server" ]; then
		kill -KILL "$server" 2>/dev/null || :
		wait "$server" 2>/dev/null || :
	fi
}

ask() {
	redis-cli -s "$socket" "$@"
}

# start LABEL OPTION...: under a limit of 128 MiB.
start() {
	label=$1
	shift
	env LD_PRELOAD="$preload" WITNESS="$witness" OOMRECLAIM_CONF=limit:128M,report:always \
		redis-server --port 0 --unixsocket "$socket" --dir "$tmp" --save '' \
		--appendonly no --daemonize no "$@" >"$label.log" 2>&1 &
	server=$!
	tries=0
	until ask ping >/dev/null 2>&1; do
		kill -0 "$server" 2>/dev/null || fail "$label: the server is gone" "$label.log"
		tries=$((tries + 1))
		[ "$tries" -lt 600 ] || fail "$label: the server does not answer" "$label.log"
		sleep 0.1
	done
}

# Some 250 MiB.
fill() {
	redis-benchmark -s "$socket" -q -n 400000 -r 400000000 -d 600 -P 32 -c 8 -t set
}

start without
fill >fill.out 2>&1 || :
status=0
wait "$server" || status=$?
server=
grep -q '^redis-server invoked oom-reclaim: size=[0-9]*, .*, constraint=BUDGET, policy=return$' \
	without.log || fail "no report" without.log
grep -q '^Out of memory: returning NULL to process [0-9]* (redis-server)$' without.log ||
	fail "no verdict" without.log
grep -q 'Out Of Memory allocating [0-9]* bytes!' without.log ||
	fail "redis said nothing" without.log
# Its handler of crashes ends it: nobody killed it.
case $status in
0 | 137) fail "status $status" without.log ;;
esac
note "redis's own handling: status $status"

start with --maxmemory 64mb --maxmemory-policy allkeys-lru
fill >fill.out 2>&1 || fail "fill" fill.out with.log
[ "$(ask dbsize)" -gt 1000 ] || fail "no data" with.log
ask shutdown nosave >/dev/null 2>&1 || :
status=0
wait "$server" || status=$?
server=
[ "$status" -eq 0 ] || fail "status $status" with.log
! grep -q oom-reclaim with.log || fail "a report" with.log
note "a limit that is not met"

witnessed redis-server
