#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A PostgreSQL server of its own with pgbench, vacuum and queries that sort and hash in memory: a
# process for each connection, each with a heap that the postmaster forked.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

# Where distributions keep the server's programs, the newest last.
for directory in /usr/lib/postgresql/*/bin; do
	[ -x "$directory/initdb" ] && PATH=$directory:$PATH
done
need initdb pg_ctl postgres pgbench psql vacuumdb

# The server refuses to run as root.
unprivileged() {
	"$@"
}
if [ "$(id -u)" -eq 0 ]; then
	need setpriv
	unprivileged() {
		setpriv --reuid=nobody --regid="$(id -gn nobody)" --clear-groups \
			env HOME="$tmp/server" "$@"
	}
fi

mkdir server
[ "$(id -u)" -ne 0 ] || chown nobody server
data=$tmp/server/data
export PGHOST="$tmp/server" PGUSER=test PGDATABASE=postgres
unset PGPORT PGDATA PGOPTIONS PGSERVICE

stop() {
	if [ -e "$data/postmaster.pid" ]; then
		unprivileged pg_ctl -D "$data" -m immediate stop >/dev/null 2>&1 || :
	fi
}

with() {
	unprivileged env LD_PRELOAD="$preload" WITNESS="$witness" "$@"
}

with initdb -D "$data" -U test -A trust --no-sync --no-instructions --locale=C -E UTF8 \
	>initdb.log 2>&1 || fail "initdb: status $?" initdb.log
cat >settings <<CONF
listen_addresses = ''
unix_socket_directories = '$tmp/server'
fsync = off
shared_buffers = 32MB
work_mem = 64MB
maintenance_work_mem = 64MB
max_parallel_workers_per_gather = 2
min_parallel_table_scan_size = 0
parallel_setup_cost = 0
log_min_messages = info
CONF
cat settings >>"$data/postgresql.conf"
log=$tmp/server/log
with pg_ctl -D "$data" -l "$log" -w -t 120 start >start.log 2>&1 ||
	fail "the server does not start" start.log "$log"
note "initdb, start"

grep -qF "$lib" "/proc/$(head -n 1 "$data/postmaster.pid")/maps" ||
	fail "the server runs without the library" "$log"

bench() {
	label=$1
	shift
	preload pgbench "$@" >"bench.$label.log" 2>&1 ||
		fail "pgbench $label" "bench.$label.log" "$log"
	note "pgbench $label"
}
failed_none() {
	grep -q 'number of failed transactions: 0 ' "bench.$1.log" ||
		fail "pgbench $1: failed transactions" "bench.$1.log"
	grep -qF "actually processed: $2/$2" "bench.$1.log" ||
		fail "pgbench $1: transactions are missing" "bench.$1.log"
}
bench init -i -q -s 5
bench select -n -S -c 4 -j 2 -t 500 -M prepared
failed_none select 2000
bench tpcb -c 4 -j 2 -t 500
failed_none tpcb 2000

vacuumdb --analyze --full >vacuum.log 2>&1 || fail "vacuum" vacuum.log "$log"

# What the benchmark must leave: balances that agree, and one row of history a transaction.
cat >check.sql <<'SQL'
SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history),
	(SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(delta) FROM pgbench_history),
	(SELECT count(*) FROM pgbench_history);
SELECT count(*), sum(n), min(a.aid), max(b.aid) FROM pgbench_accounts a
	JOIN pgbench_accounts b ON a.aid = b.aid * 2
	CROSS JOIN LATERAL (SELECT count(*) AS n FROM pgbench_branches WHERE bid <= a.bid) c;
SELECT md5(string_agg(line, ',' ORDER BY line))
	FROM (SELECT md5(i::text) || repeat('x', i % 50) AS line
		FROM generate_series(1, 200000) i) l;
SELECT count(*), max(total) FROM
	(SELECT i::bigint * 7919 % 60013 AS k, sum(i) AS total
		FROM generate_series(1, 400000) i GROUP BY k) g;
SELECT jsonb_array_length(jsonb_agg(jsonb_build_object('i', i, 't', repeat('y', i % 20))))
	FROM generate_series(1, 50000) i;
DO $$ BEGIN
	FOR i IN 1 .. 2000 LOOP
		BEGIN PERFORM 1 / (i % 5); EXCEPTION WHEN division_by_zero THEN NULL; END;
	END LOOP;
END $$;
SQL
cat >expected <<'OUT'
t|t|2000
OUT
preload psql -X -q -A -t -v ON_ERROR_STOP=1 -f check.sql >check.preload 2>check.err ||
	fail "queries" check.err "$log"
[ ! -s check.err ] || fail "queries: messages" check.err
head -n 1 check.preload | cmp - expected || fail "the balances do not agree" check.preload
note "queries"

# Started again without the preload, on the same data.
unprivileged pg_ctl -D "$data" -m fast -w -t 120 stop >stop.log 2>&1 || fail "stop" stop.log "$log"
grep -q 'database system is shut down' "$log" || fail "no clean stop" "$log"
if grep -iE 'crash|terminated by signal|PANIC|oomreclaim' "$log" >bad; then
	fail "messages of the server" bad
fi
unprivileged pg_ctl -D "$data" -l "$log.plain" -w -t 120 start >start.log 2>&1 ||
	fail "the server does not start again" start.log "$log.plain"
psql -X -q -A -t -v ON_ERROR_STOP=1 -f check.sql >check.plain 2>&1 || fail "queries" check.plain
cmp check.plain check.preload || fail "other answers" check.plain check.preload
! grep -q 'automatic recovery' "$log.plain" || fail "data in need of recovery" "$log.plain"
note "stop, the same answers without the preload"

witnessed initdb postgres pgbench psql
