#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# redis-module.sh LIBRARY MODULE: more data than the limit. Redis ends where malloc() fails; with
# the module exec, whose command lowers maxmemory, it evicts in time and stays.
set -eu

library=$1 module=$2
for program in redis-server redis-cli redis-benchmark; do
	command -v $program >/dev/null || exit 77
done
unset LD_PRELOAD MALLOC_CONF OOMRECLAIM_CONF
tmp=$(mktemp -d)
server=
# shellcheck disable=SC2317
finish()
{
	[ -z "$server" ] || kill "$server" 2>/dev/null || :
	rm -rf "$tmp"
}
trap finish EXIT
mkdir "$tmp/oomreclaim"
cp "$library" "$tmp/liboomreclaim.so.0"
cp "$module" "$tmp/oomreclaim/exec.so"
cat >"$tmp/shrink" <<E2
#!/bin/sh
redis-cli -s $tmp/socket CONFIG SET maxmemory 60mb
redis-cli -s $tmp/socket MEMORY PURGE
echo called >>$tmp/called
E2
chmod +x "$tmp/shrink"

# load CONF: 160 MB in keys of 4 kB; 0 if the server is there afterwards, and has evicted some.
load()
{
	env LD_PRELOAD="$tmp/liboomreclaim.so.0" OOMRECLAIM_CONF="limit:128M,high:80M$1" \
		redis-server --port 0 --unixsocket "$tmp/socket" --save '' --appendonly no \
		--maxmemory-policy allkeys-lru --dir "$tmp" >"$tmp/log" 2>&1 &
	server=$!
	until redis-cli -s "$tmp/socket" ping 2>/dev/null | grep -q PONG; do
		kill -0 $server
		sleep 0.1
	done
	redis-benchmark -s "$tmp/socket" -t set -n 40000 -r 1000000 -d 4000 -c 4 -q >"$tmp/out" 2>&1 || :
	status=1
	if redis-cli -s "$tmp/socket" ping 2>/dev/null | grep -q PONG; then
		redis-cli -s "$tmp/socket" info stats | grep '^evicted_keys:[1-9]' && status=0
		redis-cli -s "$tmp/socket" shutdown nosave || :
	fi
	wait "$server" 2>/dev/null || :
	server=
	rm -f "$tmp/socket"
	return $status
}

! load '' || {
	echo "FAIL: it did without the module: this limit tests nothing"
	exit 1
}
load ",modules:exec=400:$tmp/shrink" || {
	echo "FAIL: with the module"
	tail -n 20 "$tmp/log"
	exit 1
}
[ -s "$tmp/called" ] || {
	echo "FAIL: the command was not run"
	exit 1
}
echo ok
