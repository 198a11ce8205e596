#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# redis-server with more data than its limit: malloc says no, redis says so and ends in its own way,
# with the report beside it; and with a limit of its own below, it evicts and none of this happens.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

# shellcheck source=redis-common.sh
. "$here/redis-common.sh"

# start LABEL OPTION...: under a limit of 128 MiB.
start() {
	label=$1
	shift
	serve "$label" env LD_PRELOAD="$preload" WITNESS="$witness" OOMRECLAIM_CONF=limit:128M,report:always \
		redis-server --dir "$tmp" "$@"
}

# Some 250 MiB.
fill() {
	redis-benchmark -s "$socket" -q -n 400000 -r 400000000 -d 600 -P 32 -c 8 -t set
}

start without
fill >fill.out 2>&1 || :
ended
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
ended
[ "$status" -eq 0 ] || fail "status $status" with.log
! grep -q oom-reclaim with.log || fail "a report" with.log
note "a limit that is not met"

witnessed redis-server
