#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# redis.sh DIRECTORY REQUESTS: a server of its own, and redis-benchmark against it.
set -eu
cd "$1"
socket=$PWD/redis.sock
redis-server --port 0 --unixsocket "$socket" --save '' --appendonly no --daemonize no \
	--logfile redis.log &
server=$!
trap 'kill -KILL $server 2>/dev/null || :' EXIT
until redis-cli -s "$socket" ping >/dev/null 2>&1; do
	kill -0 $server || exit 1
	sleep 0.01
done
redis-benchmark -s "$socket" -q -n "$2" -r "$2" -d 300 -P 16 -t set,get,lpush,lrange_100,hset,zadd \
	>redis.out
redis-cli -s "$socket" shutdown nosave >/dev/null
trap - EXIT
wait $server
