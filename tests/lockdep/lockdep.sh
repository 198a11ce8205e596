#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# lockdep.sh LIBRARY DEBUG-LIBRARY ORDERS SOURCE-ROOT CC: the example deadlock on both libraries; a
# report is made once; fail_malloc; and programs of others, which have callbacks but no deadlock,
# run as they do without.
set -eu

library=$1 debug=$2 orders=$3 root=$4 cc=$5
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin
unset MALLOC_PERTURB_
# For common.sh.
tool=
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/../tool/common.sh"
chmod 755 "$tmp"
server=
# shellcheck disable=SC2317
finish()
{
	[ -z "$server" ] || kill -KILL "$server" 2>/dev/null || :
	[ ! -d "$tmp/data" ] || (cd / && runuser -u postgres -- "$pg/pg_ctl" -D "$tmp/data" -m immediate stop) \
		>/dev/null 2>&1 || :
	rm -rf "$tmp"
}
trap finish EXIT

# The compiler may be several words.
# shellcheck disable=SC2086
{
	$cc -D_GNU_SOURCE -O2 -I"$root/include" -o "$tmp/deadlock" "$root/examples/deadlock/deadlock.c" -pthread
	$cc -D_GNU_SOURCE -shared -fPIC -I"$root/include" -o "$tmp/mine.so" "$root/examples/module/mine.c"
}

# on LIBRARY CONF COMMAND...: status in $status, output in $tmp/out and $tmp/err.
on()
{
	preload=$1 conf=$2
	shift 2
	status=0
	LD_PRELOAD=$preload OOMRECLAIM_CONF=$conf "$@" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
}

# Where a heap profile can't be written both go on.
for preload in "$library" "$debug"; do
	on "$preload" '' env MALLOC_CONF=prof:true,prof_final:true,prof_prefix:/nonexistent/x /bin/true
	[ "$status" -eq 0 ] || fail "no profile, $preload: $status, $(tail -n 3 "$tmp/err")"
	grep -q '<jemalloc>: failed to open "/nonexistent/x' "$tmp/err" || fail "no profile, $preload: nothing is said"
done

# Where nothing can be unmapped both go on.
# shellcheck disable=SC2086
{
	$cc -D_GNU_SOURCE -O2 -shared -fPIC -o "$tmp/refuse.so" "$root/tests/lockdep/refuse.c"
	$cc -D_GNU_SOURCE -O0 -fno-builtin -o "$tmp/holes" -x c - <<END
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
int main(void)
{
	static char *block[2000];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 2000; i++)
			memset(block[i] = malloc(20000), 1, 20000);
		for (int i = 0; i < 2000; i++)
			free(block[i]);
		free(aligned_alloc(1 << 22, 1 << 23));
		malloc_trim(0);
	}
	return 0;
}
END
}
for preload in "$library" "$debug"; do
	for heap in retain:true retain:false; do
		on "$tmp/refuse.so:$preload" '' env MALLOC_CONF=$heap "$tmp/holes"
		[ "$status" -eq 0 ] || fail "munmap() refused, $preload with $heap: $status, $(tail -n 3 "$tmp/err")"
	done
done

for how in wait trylock noreclaim; do
	on "$library" '' "$tmp/deadlock" $how
	[ "$status$(cat "$tmp/err")" = 0 ] || fail "release library, $how: $status, $(cat "$tmp/err")"
done
for how in trylock noreclaim; do
	on "$debug" dry_run:true "$tmp/deadlock" $how
	[ "$status$(cat "$tmp/err")" = 0 ] || fail "debug library, $how: $status, $(cat "$tmp/err")"
	grep -qx '20000 entries' "$tmp/out" || fail "debug library, $how: $(cat "$tmp/out")"
done
on "$debug" dry_run:true,lock_check:warn "$tmp/deadlock" wait
[ "$status" -eq 0 ] || fail "debug library, wait: status $status"
[ "$(grep -c 'possible deadlock' "$tmp/err")" -eq 1 ] || fail "debug library, wait: $(cat "$tmp/err")"
on "$debug" dry_run:true,lock_check:abort "$tmp/deadlock" wait
[ "$status" -eq 134 ] || fail "lock_check:abort: status $status"

# Reported once, though it happens again.
on "$debug" '' "$orders" callback-first
[ "$(grep -c 'possible deadlock' "$tmp/err")" -eq 1 ] || fail "not once: $(cat "$tmp/err")"

# Any malloc(), by count and by caller.
on "$debug" fail_malloc:100/1/-1,fail_malloc_caller:main,verbose:true "$tmp/deadlock" trylock
[ "$status" -eq 0 ] || fail "fail_malloc: status $status"
on "$debug" fail_malloc:100/1/-1,fail_malloc_caller:/deadlock,verbose:true "$tmp/deadlock" trylock
grep -qx '0 entries' "$tmp/out" || fail "fail_malloc by caller: $(cat "$tmp/out")"
grep -q '^oomreclaim: injected: an allocation of [0-9]* bytes fails$' "$tmp/err" || fail "fail_malloc: no line"
on "$debug" fail_malloc:100/5000/1,fail_malloc_caller:/deadlock "$tmp/deadlock" trylock
grep -qx '4999 entries' "$tmp/out" || fail "fail_malloc by count: $(cat "$tmp/out")"
n=0 ended=no
while [ $n -lt 3000 ] && [ $ended = no ]; do
	n=$((n + 97))
	on "$debug" "fail_malloc:100/$n,verbose:true" /usr/bin/sqlite3 :memory: 'select 1 + 1'
	[ "$status" -lt 128 ] || [ "$status" -eq 134 ] || fail "sqlite3: status $status, fail_malloc $n"
	grep -q injected "$tmp/err" || ended=yes
done

# silent LABEL COMMAND...: with a callback that was called once.
conf=modules:$tmp/mine.so=10,dry_run:true,lock_check:abort
silent()
{
	label=$1
	shift
	on "$debug" "$conf" "$@"
	[ "$status" -eq 0 ] || fail "$label: status $status, $(tail -n 5 "$tmp/err")"
	! grep -q 'oomreclaim:' "$tmp/err" || fail "$label: $(grep 'oomreclaim:' "$tmp/err")"
}
silent python3 /usr/bin/python3 -m test --tempdir "$tmp" test_json test_dict test_queue
silent node node -e 'const a = [];
	for (let i = 0; i < 1e5; i++) a.push({i, s: "x".repeat(i % 100)});
	JSON.parse(JSON.stringify(a));
	require("zlib").gzip(Buffer.alloc(1e7), () => require("fs").readdir("/", () => {}));'

LD_PRELOAD=$debug OOMRECLAIM_CONF=$conf redis-server --port 0 --unixsocket "$tmp/redis.sock" --save '' --dir "$tmp" \
	--io-threads 2 >"$tmp/redis.log" 2>&1 &
server=$!
tries=0
until redis-cli -s "$tmp/redis.sock" ping >/dev/null 2>&1; do
	tries=$((tries + 1))
	[ $tries -lt 600 ] || { fail "redis-server: no answer"; break; }
	sleep 0.1
done
redis-benchmark -s "$tmp/redis.sock" -n 30000 -P 8 -q -t set,get,lpush,mset >/dev/null 2>&1 || fail "redis-benchmark"
redis-cli -s "$tmp/redis.sock" shutdown nosave >/dev/null 2>&1 || :
wait "$server" || fail "redis-server: status $?"
server=
! grep -q 'oomreclaim:' "$tmp/redis.log" || fail "redis-server: $(grep 'oomreclaim:' "$tmp/redis.log")"

# As its own user: it does not run as root.
pg=$(find /usr/lib/postgresql -name bin -type d | tail -n 1)
cp "$debug" "$tmp/liboomreclaim-debug.so.0"
chmod 755 "$tmp/liboomreclaim-debug.so.0" "$tmp/mine.so"
mkdir "$tmp/data" "$tmp/socket"
chown postgres "$tmp/data" "$tmp/socket"
as_postgres()
{
	(cd / && runuser -u postgres -- env PATH="$PATH" "$@")
}
watched()
{
	as_postgres LD_PRELOAD="$tmp/liboomreclaim-debug.so.0" OOMRECLAIM_CONF="$conf" "$@"
}
watched "$pg/initdb" -D "$tmp/data" -A trust >"$tmp/initdb.log" 2>&1 || fail "initdb: $(tail -n 5 "$tmp/initdb.log")"
watched "$pg/pg_ctl" -D "$tmp/data" -w -l "$tmp/data/log" -o "-k $tmp/socket -c listen_addresses=" start \
	>"$tmp/pg_ctl.log" 2>&1 || fail "postgres: $(tail -n 5 "$tmp/pg_ctl.log" "$tmp/data/log")"
as_postgres "$pg/pgbench" -h "$tmp/socket" -i -s 1 postgres >"$tmp/pgbench.log" 2>&1 ||
	fail "pgbench -i: $(tail -n 5 "$tmp/pgbench.log")"
as_postgres "$pg/pgbench" -h "$tmp/socket" -c 4 -t 200 postgres >"$tmp/pgbench.log" 2>&1 ||
	fail "pgbench: $(tail -n 5 "$tmp/pgbench.log")"
as_postgres "$pg/pg_ctl" -D "$tmp/data" -w -m fast stop >/dev/null || fail "postgres: no end"
! grep -q 'oomreclaim:' "$tmp/initdb.log" "$tmp/data/log" || fail "postgres: $(grep 'oomreclaim:' "$tmp/data/log")"

verdict
