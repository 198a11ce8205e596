#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# redis-server under redis-benchmark. Debian's is linked with libjemalloc.so.2, so there are two
# allocators in the process: the preload comes first, and everything has to lead to it, also what
# redis asks jemalloc for by name (statistics, purging).
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

# shellcheck source=redis-common.sh
. "$here/redis-common.sh"

# start LABEL COMMAND...: a server of its own in LABEL.dir.
start() {
	label=$1
	shift
	mkdir "$label.dir"
	serve "$label" "$@" redis-server --dir "$tmp/$label.dir" --io-threads 2 --maxmemory 96mb \
		--maxmemory-policy allkeys-lru
}

end() {
	ask shutdown nosave >shutdown.out 2>&1 || :
	ended
	[ "$status" -eq 0 ] || fail "$label: status $status" "$label.log"
	grep -q 'bye bye' "$label.log" || fail "$label: no clean end" "$label.log"
	if grep -iE 'crash|REDIS BUG|assert|oomreclaim' "$label.log" >bad; then
		fail "$label: messages" bad
	fi
}

# The same data on either server, its checksum as redis counts it, and a copy by fork().
fill() {
	ask flushall >/dev/null
	ask debug populate 50000 key 200 >/dev/null
	ask eval 'for i = 1, 20000 do
		redis.call("hset", "hash:" .. i % 100, i, string.rep("x", i % 300))
		redis.call("zadd", "sorted", i * 7919 % 20011, "member " .. i)
		redis.call("rpush", "list:" .. i % 10, i)
		if i % 3 == 0 then redis.call("del", "key:" .. i) end
	end' 0 >/dev/null
	ask debug digest
	ask dbsize
	ask zrange sorted 1000 1010
	ask debug reload
	ask debug digest
}

start plain env
fill >plain.data
end

start preload env LD_PRELOAD="$preload" WITNESS="$witness"
fill >preload.data
cmp plain.data preload.data || fail "other data" plain.data preload.data
note "data"

preload redis-benchmark -s "$socket" -q -n 20000 -c 20 -P 4 -d 512 -r 100000 --threads 2 \
	-t ping,set,get,incr,lpush,rpop,sadd,hset,spop,zadd,zpopmin,lrange_100,mset \
	>benchmark.log 2>&1 || fail "redis-benchmark: status $?" benchmark.log
tr '\r' '\n' <benchmark.log | grep -c 'requests per second, ' >benchmark.count
[ "$(cat benchmark.count)" -ge 14 ] || fail "redis-benchmark: results are missing" benchmark.log
! grep -qi error benchmark.log || fail "redis-benchmark: errors" benchmark.log
note "redis-benchmark: $(cat benchmark.count) tests"

# What redis counts itself (used_memory) and what the allocator counts must be about the same: redis
# asks by mallctl(), which has to belong to the malloc() it uses.
value() {
	ask info memory | tr -d '\r' | sed -n "s/^$1://p"
}
used=$(value used_memory)
allocated=$(value allocator_allocated)
[ "$used" -gt 10000000 ] || fail "used_memory: only $used bytes"
if [ "$allocated" -lt $((used - used / 10)) ] || [ "$allocated" -gt $((used + used / 2)) ]; then
	fail "redis uses $used bytes, the allocator knows of $allocated"
fi
ask memory malloc-stats >stats.out
grep -q 'Begin jemalloc statistics' stats.out || fail "MEMORY MALLOC-STATS" stats.out
[ "$(ask memory purge)" = OK ] || fail "MEMORY PURGE"
ask memory doctor >doctor.out
ask flushall async >/dev/null
ask memory purge >/dev/null
grep -qF "$lib" "/proc/$server/maps" || fail "not mapped" "/proc/$server/maps"
end
note "memory commands, shutdown"

witnessed redis-server redis-benchmark
