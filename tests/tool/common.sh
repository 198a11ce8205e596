# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
# shellcheck disable=SC2154
# What the tests of the command share, and others that are scripts. To be sourced with $tool set; makes $tmp.
# With $is_alone set the test is run in a pid namespace of its own: it sees no process of others.
if [ -n "${is_alone-}" ] && [ -z "${HAS_NAMESPACE-}" ]; then
	user=
	[ "$(id -u)" -eq 0 ] || user=--map-root-user
	# shellcheck disable=SC2086
	if unshare $user --pid --fork --mount-proc true 2>/dev/null; then
		# shellcheck disable=SC2086
		HAS_NAMESPACE=1 exec unshare $user --pid --fork --kill-child --mount-proc "$0" "$@"
	fi
	echo "skipped: no pid namespace to be had"
	exit 77
fi
unset LD_PRELOAD OOMRECLAIM_CONF MALLOC_CONF
LC_ALL=C
export LC_ALL
tmp=$(mktemp -d)
failures=0
children=

finish()
{
	for child in $children; do
		kill -9 "$child" 2>/dev/null || :
	done
	rm -rf "$tmp"
}
trap finish EXIT

fail()
{
	echo "FAIL: $*"
	failures=$((failures + 1))
}

# is_like PATTERN FILE: a line of it is, by an extended regular expression.
is_like()
{
	grep -Eq -e "$1" "$2" || {
		fail "no line like $1 in:"
		cat "$2"
	}
}

# expect STATUS COMMAND...: output in $tmp/out and $tmp/err, from which is_like takes it.
expect()
{
	expected=$1
	shift
	status=0
	"$@" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
	if [ $status -ne "$expected" ]; then
		fail "$*: status $status, expected $expected"
		cat "$tmp/out" "$tmp/err"
	fi
}

# refuses STATUS PATTERN COMMAND...: one line on stderr, like that, and nothing on stdout.
refuses()
{
	wanted=$1 pattern=$2
	shift 2
	expect "$wanted" "$@"
	is_like "^oomreclaim: $pattern\$" "$tmp/err"
	if [ "$(wc -l <"$tmp/err")" -ne 1 ] || [ -s "$tmp/out" ]; then
		fail "$*: not one line alone"
		cat "$tmp/out" "$tmp/err"
	fi
}

# start COMMAND...: in the background, until it says "ready"; sets $pid.
start()
{
	rm -f "$tmp/fifo"
	mkfifo "$tmp/fifo"
	"$@" >"$tmp/fifo" &
	pid=$!
	children="$children $pid"
	word=
	read -r word <"$tmp/fifo" || :
	[ "$word" = ready ] || fail "$*: not ready"
}

# serve ADDRESS: an exporter there; sets $exporter, $url, $host and $port.
serve()
{
	rm -f "$tmp/fifo"
	mkfifo "$tmp/fifo"
	"$tool" export --listen "$1" >"$tmp/fifo" 2>"$tmp/exporter.err" &
	exporter=$!
	children="$children $exporter"
	url=
	read -r url <"$tmp/fifo" || :
	host=$(echo "$url" | sed -n 's|^http://\[\{0,1\}\(.*[^]]\)\]\{0,1\}:[0-9]*/metrics$|\1|p')
	port=$(echo "$url" | sed -n 's|.*:\([0-9]*\)/metrics$|\1|p')
	case $host,$port in
	,* | *,) fail "$1: it says \"$url\": $(cat "$tmp/exporter.err")" ;;
	esac
}

# start_zombie COMMAND...: as start, and sets $zombie to it; a parent that never waits for it is
# $pid.
start_zombie()
{
	rm -f "$tmp/zombie"
	# shellcheck disable=SC2016
	start sh -c 'file=$1; shift; "$@" & echo $! >"$file"; exec sleep 1000' sh "$tmp/zombie" "$@"
	until [ -s "$tmp/zombie" ]; do
		sleep 0.1
	done
	zombie=$(cat "$tmp/zombie")
	children="$children $zombie"
}

# kill_zombie: until it is one, and all its threads have gone.
kill_zombie()
{
	kill -9 "$zombie"
	until grep -q '^State:.*zombie' "/proc/$zombie/status" && [ "$(echo "/proc/$zombie/task"/*)" = "/proc/$zombie/task/$zombie" ]; do
		sleep 0.1
	done
}

# wait_for_worker PID: until its page has what worker.c does last. A page is a second old at most.
wait_for_worker()
{
	until "$tool" stat --json "$1" | grep -q '"refused": 1,'; do
		kill -0 "$1"
		sleep 0.1
	done
}

verdict()
{
	[ "$failures" -eq 0 ] && echo "ok"
	exit "$((failures != 0))"
}
