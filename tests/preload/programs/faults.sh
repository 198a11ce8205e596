#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Mappings that fail by fail_page. One alone, whichever it is: no program notices. One of a
# thousand: nor do CPython's tests and redis-server under load. Each: the programs say in their own
# words that there is no memory, and none crashes.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

python=/usr/bin/python3
need "$python" sqlite3 perl git bash redis-server redis-benchmark redis-cli

server=
stop() {
	if [ -n "$server" ]; then
		kill -KILL "$server" 2>/dev/null || :
		wait "$server" 2>/dev/null || :
	fi
}

# Where every page that is free goes back, there are more mappings to fail.
often=retain:false,dirty_decay_ms:0,muzzy_decay_ms:0

# with FAULTS COMMAND...
with() {
	faults=$1
	shift
	MALLOC_CONF=$often OOMRECLAIM_CONF="fail_page:$faults,verbose:true" LD_PRELOAD=$lib "$@"
}

# sweep LABEL COMMAND...: the first alone, the second alone, and so on until there are no more; then
# each from the first, each second, each third.
sweep() {
	label=$1 n=0
	shift
	"$@" >"$label.plain"
	while :; do
		n=$((n + 1))
		with "100/$n" "$@" >"$label.out" 2>"$label.err" ||
			fail "$label: status $? when mapping $n failed" "$label.err"
		cmp "$label.plain" "$label.out" || fail "$label: another output, mapping $n"
		grep -q '^oomreclaim: injected' "$label.err" || break
	done
	[ "$n" -gt 10 ] || fail "$label: only $n mappings"
	refused=0
	for every in 1 2 3 4 5; do
		status=0
		with "100/$every/-1" "$@" >"$label.out" 2>"$label.err" || status=$?
		# 134: abort() is how some say it.
		[ "$status" -lt 128 ] || [ "$status" -eq 134 ] || [ "$label $status" = "git 128" ] ||
			fail "$label: status $status when one of $every failed" "$label.err"
		[ "$status" -eq 0 ] || refused=$((refused + 1))
	done
	[ "$refused" -gt 0 ] || fail "$label: was never refused anything"
	note "$label: $n mappings, one after the other; refused in $refused of 5 runs"
}

git init -q repo
for i in 1 2 3 4 5; do
	seq "$i" 2000 >repo/file
	git -C repo add file
	git -C repo -c user.name=n -c user.email=e commit -q -m "$i"
done
sweep sqlite3 sqlite3 :memory: 'create table t(a);
	with recursive c(x) as (select 1 union all select x + 1 from c where x < 5000)
	insert into t select printf("%0100d", x) from c;
	select count(*), sum(length(a)), max(a) from t;'
# shellcheck disable=SC2016
sweep perl perl -e 'my %h; $h{$_} = "x" x 100 for 1 .. 3000; print scalar(keys %h), "\n"'
sweep python "$python" -S -c 'print(len([str(i) * 10 for i in range(5000)]))'
sweep git git -C repo log -p --oneline
# shellcheck disable=SC2016
sweep bash bash -c 'for i in {1..1000}; do x=$x$i; done; echo ${#x}'

# CPython's tests. What they start says more on stderr than they expect, so nothing is said.
status=0
MALLOC_CONF=$often OOMRECLAIM_CONF=fail_page:100/1000/-1 LD_PRELOAD=$lib PYTHONMALLOC=malloc "$python" -m test \
	--tempdir "$tmp" test_json test_dict test_list test_bytes >python.log 2>&1 || status=$?
[ "$status" -eq 0 ] || fail "CPython's tests: status $status" python.log
note "CPython's tests, one of 1000"

# serve FAULTS: a server with them, in $server.
serve() {
	MALLOC_CONF=$often OOMRECLAIM_CONF="fail_page:$1,verbose:true" LD_PRELOAD=$lib redis-server --port 0 \
		--unixsocket "$tmp/redis.sock" --dir "$tmp" --save '' --daemonize no >redis.log 2>&1 &
	server=$!
	tries=0
	until redis-cli -s "$tmp/redis.sock" ping >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ "$tries" -lt 600 ] || fail "redis-server does not answer" redis.log
		sleep 0.1
	done
}

load() {
	redis-benchmark -s "$tmp/redis.sock" -n 100000 -r 20000 -d 3000 -P 16 -t set,lpush,get \
		--csv >load.log 2>&1
}

serve 100/1000/-1
load || fail "redis-benchmark, one of 1000" load.log redis.log
redis-cli -s "$tmp/redis.sock" shutdown nosave >/dev/null 2>&1 || :
status=0
wait "$server" || status=$?
server=
[ "$status" -eq 0 ] || fail "redis-server, one of 1000: status $status" redis.log
grep -q 'bye bye' redis.log || fail "redis-server, one of 1000: no clean end" redis.log
injected=$(grep -c 'oomreclaim: injected' redis.log) || fail "redis-server: nothing was injected" redis.log
note "redis-server, one of 1000: $injected injected"

# After what it starts with, all: it ends by its own handler of memory that is out.
serve 100/1/-1/64M
load || :
status=0
wait "$server" || status=$?
server=
grep -q 'Out Of Memory allocating' redis.log ||
	fail "redis-server, all: status $status, and not by its own handler" redis.log
note "redis-server, all: status $status by its own handler"
