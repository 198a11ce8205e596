#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# postgres.sh init DIRECTORY ROWS          a cluster, filled by pgbench
# postgres.sh run DIRECTORY TRANSACTIONS   a server, pgbench against it, and queries that sort and hash
set -eu
for bin in /usr/lib/postgresql/*/bin; do
	[ -x "$bin/postgres" ] && PATH=$bin:$PATH
done
directory=$2
data=$directory/data
export PGHOST="$directory" PGUSER=bench PGDATABASE=postgres
unset PGPORT PGDATA PGOPTIONS PGSERVICE

# The server refuses to run as root.
as_user()
{
	if [ "$(id -u)" -eq 0 ]; then
		exec setpriv --reuid=nobody --regid="$(id -gn nobody)" --clear-groups env HOME="$directory" "$@"
	fi
	exec "$@"
}

start()
{
	as_user postgres -D "$data" -c listen_addresses= -c unix_socket_directories="$directory" \
		-c fsync=off -c shared_buffers=32MB -c work_mem=64MB >"$directory/log" 2>&1 &
	server=$!
	trap 'kill -INT $server 2>/dev/null || :' EXIT
	until pg_isready -q; do
		kill -0 $server || {
			tail -n 3 "$directory/log" >&2
			exit 1
		}
		sleep 0.01
	done
}

stop()
{
	trap - EXIT
	kill -INT $server
	wait $server
}

case $1 in
init)
	[ "$(id -u)" -ne 0 ] || chown nobody "$directory"
	(as_user initdb -D "$data" -U bench -A trust --no-sync --no-instructions --locale=C -E UTF8) \
		>"$directory/init.log"
	start
	pgbench -i -q -s 1 >"$directory/init.log" 2>&1
	psql -X -q -c "CREATE TABLE numbers AS SELECT i, md5(i::text) AS t FROM generate_series(1, $3) i"
	stop
	;;
run)
	start
	pgbench -n -S -c 4 -j 2 -t "$3" -M prepared >"$directory/out" 2>&1
	psql -X -q -A -t >"$directory/out" <<-'SQL'
		SELECT md5(string_agg(t, ',' ORDER BY t)) FROM numbers;
		SELECT count(*), max(n) FROM (SELECT left(t, 3) k, count(*) n FROM numbers GROUP BY k) g;
		SELECT jsonb_array_length(jsonb_agg(jsonb_build_object('i', i, 't', t))) FROM numbers;
	SQL
	stop
	;;
esac
