# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2034,SC2154
#
# Sourced by the tests of redis-server, behind common.sh: one server at a time, at a socket of its
# own.

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

# serve LABEL COMMAND...: COMMAND is a redis-server with options of the test's. Its output is in
# LABEL.log.
serve() {
	label=$1
	shift
	"$@" --port 0 --unixsocket "$socket" --save '' --appendonly no --daemonize no >"$label.log" 2>&1 &
	server=$!
	tries=0
	until ask ping >/dev/null 2>&1; do
		kill -0 "$server" 2>/dev/null || fail "$label: the server is gone" "$label.log"
		tries=$((tries + 1))
		[ "$tries" -lt 600 ] || fail "$label: the server does not answer" "$label.log"
		sleep 0.1
	done
}

# Waits for the server's end, which is in $status then.
ended() {
	status=0
	wait "$server" || status=$?
	server=
}
