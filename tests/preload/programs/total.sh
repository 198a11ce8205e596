#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Servers of many processes below one `oomreclaim run --total`: a PostgreSQL server with several
# backends, redis-server with the child that saves, and a pool of Python's multiprocessing. TOOL is the
# command.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

for directory in /usr/lib/postgresql/*/bin; do
	[ -x "$directory/initdb" ] && PATH=$directory:$PATH
done
need initdb postgres psql redis-server redis-cli python3

server=
stop() {
	[ -z "$server" ] || kill -9 "$server" 2>/dev/null || :
	[ ! -e "$tmp/server/data/postmaster.pid" ] ||
		kill -QUIT "$(head -n 1 "$tmp/server/data/postmaster.pid")" 2>/dev/null || :
}
# The server refuses to run as root.
unprivileged() {
	"$@"
}
if [ "$(id -u)" -eq 0 ]; then
	need setpriv
	unprivileged() {
		setpriv --reuid=nobody --regid="$(id -gn nobody)" --clear-groups env HOME="$tmp/server" "$@"
	}
fi
# Where an unprivileged user may read them.
cp "$TOOL" "$tmp/oomreclaim"
within() {
	total=$1
	shift
	"$tmp/oomreclaim" run --library "$lib" --total "$total" -- "$@"
}
# newest FIELD LIMIT: of the total with that limit. The page of a small process that does nothing is as old
# as what it did last: the newest one has the most.
newest() {
	"$TOOL" stat --json | sed -n "s/.*\"total\": {[^}]*\"limit\": $2,[^}]*\"$1\": \([0-9]*\).*/\1/p" | sort -n | tail -n 1
}

# ---- PostgreSQL ----
mkdir server
[ "$(id -u)" -ne 0 ] || chown nobody server
data=$tmp/server/data
export PGHOST="$tmp/server" PGUSER=test PGDATABASE=postgres
unset PGPORT PGDATA PGOPTIONS PGSERVICE
unprivileged initdb -D "$data" -U test -A trust --no-sync --no-instructions --locale=C -E UTF8 >initdb.log 2>&1 ||
	fail "initdb" initdb.log
cat >>"$data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$tmp/server'
fsync = off
shared_buffers = 16MB
autovacuum = off
CONF
unprivileged "$tmp/oomreclaim" run --library "$lib" --total 120M -- postgres -D "$data" >postgres.log 2>&1 &
server=$!
until psql -qAtc 'SELECT 1' >/dev/null 2>&1; do
	kill -0 "$server" 2>/dev/null || fail "postgres has ended" postgres.log
	sleep 0.2
done
# What one backend holds is not there for the next, until it ends.
psql -qAtc "DO \$\$ DECLARE t text := repeat('x', 31457280); BEGIN RAISE NOTICE 'held'; PERFORM pg_sleep(600); PERFORM length(t); END \$\$" \
	>held.log 2>&1 &
: >held.log
wait_for=0
until grep -q held held.log; do
	wait_for=$((wait_for + 1))
	[ $wait_for -lt 600 ] || fail "no backend has what it may have" held.log postgres.log
	sleep 0.2
done
for backend in 1 2 3; do
	psql -qAtc "DO \$\$ DECLARE t text := repeat('x', 31457280); BEGIN PERFORM length(t); END \$\$" >refused.log 2>&1 &&
		fail "the total is not met"
	grep -q 'out of memory' refused.log || fail "backend $backend is refused for another reason" refused.log
done
psql -qAtc "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO %'" >/dev/null
# Theirs is there again, and the server is as it was.
until [ "$(psql -qAtc "SELECT length(repeat('x', 31457280))" 2>psql.log)" = 31457280 ]; do
	wait_for=$((wait_for + 1))
	[ $wait_for -lt 600 ] || fail "what the backends had is not there again" psql.log
	sleep 0.2
done
master=$(head -n 1 "$data/postmaster.pid")
until met=$(newest times_met 125829120) && [ "${met:-0}" -gt 0 ]; do
	wait_for=$((wait_for + 1))
	[ $wait_for -lt 600 ] || fail "the total was never met"
	# A backend of its own has a page that is new.
	psql -qAtc 'SELECT pg_sleep(0.2)' >/dev/null
done
[ "$(newest peak 125829120)" -le 125829120 ] || fail "more than the total was charged"
kill -INT "$master"
wait "$server" || fail "postgres: status $?" postgres.log
server=
note "PostgreSQL"

# ---- redis-server ----
socket=$tmp/redis.sock
within 96M redis-server --port 0 --unixsocket "$socket" --save '' --daemonize no --dir "$tmp" >redis.log 2>&1 &
server=$!
until redis-cli -s "$socket" ping >/dev/null 2>&1; do
	kill -0 "$server" 2>/dev/null || fail "redis-server has ended" redis.log
	sleep 0.1
done
redis-cli -s "$socket" eval "for i = 1, 300000 do redis.call('set', 'k' .. i, string.rep('x', 100)) end" 0 >/dev/null
redis-cli -s "$socket" bgsave >/dev/null
# The child that saves has the parent's 50 MiB, and is charged for its own alone.
until redis-cli -s "$socket" info persistence | grep -q '^rdb_bgsave_in_progress:0'; do
	sleep 0.1
done
redis-cli -s "$socket" info persistence | grep -q '^rdb_last_bgsave_status:ok' ||
	fail "the child that saves fails" redis.log
redis-cli -s "$socket" shutdown nosave >/dev/null 2>&1 || :
wait "$server" || fail "redis-server: status $?" redis.log
server=
note "redis-server"

# ---- A pool of Python's ----
cat >pool.py <<'PYTHON'
import multiprocessing, os, sys


def work(barrier, number, results):
    try:
        block = bytearray(30 << 20)
    except MemoryError:
        block = None
    barrier.wait()
    results.put(block is not None)


def run(context):
    barrier, results = context.Barrier(6), context.Queue()
    workers = [context.Process(target=work, args=(barrier, i, results)) for i in range(6)]
    for worker in workers:
        worker.start()
    served = sum(results.get() for _ in workers)
    for worker in workers:
        worker.join()
    return served


def square(number):
    return len(bytearray(20 << 20)) and number * number


if __name__ == "__main__":
    for method in "fork", "spawn":
        context = multiprocessing.get_context(method)
        served = run(context)
        # 5 times 32 MiB are all of it.
        assert 1 <= served <= 4, (method, served)
        # With so much for each, one after the other, all is served.
        with context.Pool(2) as pool:
            assert pool.map(square, range(20)) == [n * n for n in range(20)], method
PYTHON
python=/usr/bin/python3
[ -x $python ] || python=python3
within 160M $python pool.py >python.log 2>&1 || fail "the pool: status $?" python.log
[ ! -s python.log ] || fail "the pool says" python.log
note "multiprocessing"
