#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# export.sh TOOL WORKER FAKE_PAGE SOURCE-ROOT: the exporter, as Prometheus asks it, and as others do who should not.
set -eu

tool=$1 worker=$2 fake=$3 source=$4
here=$(cd "$(dirname "$0")" && pwd)
# For common.sh.
is_alone=1
# shellcheck source=tests/tool/common.sh
. "$here/common.sh"

# ---- Addresses ----
refuses 2 'export: --listen is missing; .*' "$tool" export
refuses 2 'export: more is one word too many; .*' "$tool" export --listen 0 more
for address in '' x 127.0.0.1 '[::1]' ::1 '[::1' ::1:80 127.0.0.1: :80 127.0.0.1:x 127.0.0.1:-1 127.0.0.1:65536 65536 -1 \
	127.0.0.1:080808 1.2.3:80 256.0.0.1:80 '[127.0.0.1]:80' '[]:80' '[::1]80' localhost:80 '127.0.0.1:80 ' \
	'[::::::::::::::::::::::::::::::::::::::::::::::::::::::::::::::::::::::::]:80'; do
	expect 2 timeout 20 "$tool" export --listen "$address"
	grep -qF "export: --listen $address is none of ADDRESS:PORT, [ADDRESS]:PORT and PORT; see " "$tmp/err" ||
		fail "$address: $(cat "$tmp/err")"
done
refuses 1 'export: 192\.0\.2\.1:0 is no address of this machine; see ip address' "$tool" export --listen 192.0.2.1:0

client()
{
	kind=$1
	shift
	/usr/bin/python3 "$here/export_client.py" "$kind" "$host" "$port" "$@" || fail "$kind"
}

# ends SIGNAL: well.
ends()
{
	status=0
	kill "-$1" "$exporter"
	wait "$exporter" || status=$?
	[ $status -eq 0 ] || fail "SIG$1: status $status"
	[ ! -s "$tmp/exporter.err" ] || fail "it says: $(cat "$tmp/exporter.err")"
}

# With a client in the middle of its request.
for address in 127.0.0.1:0 '[::1]:0' 0; do
	case $address in
	*::1*) grep -qs '^0*1 ' /proc/net/if_inet6 || continue ;;
	esac
	serve "$address"
	client requests
	[ "$address" != 0 ] || [ "$host" = 127.0.0.1 ] || fail "a port alone: $host"
	ends TERM
done
serve 0
refuses 1 "export: 127\.0\.0\.1:$port is in use; .*" "$tool" export --listen "127.0.0.1:$port"
refuses 1 "export: $port is in use; .*" "$tool" export --listen "$port"
descriptors=$(find "/proc/$exporter/fd" | wc -l)

# ---- Processes ----
client print >"$tmp/none"
! grep -v '^#' "$tmp/none" || fail "metrics without a process"
start "$tool" run --limit 48M --stats -- "$worker"
first=$pid
wait_for_worker "$first"
start "$tool" run --limit 48M --stats -- "$worker"
second=$pid
wait_for_worker "$second"
# The exporter looks once a second at most.
sleep 1
slot_of()
{
	client worker "$1" | sed -n 's/^slot \([0-9]*\), .*/\1/p'
}
[ "$(slot_of "$first"), $(slot_of "$second")" = '0, 1' ] || fail "slots: $(client print | grep info)"
# The slot of one that has ended is the next one's; who stays keeps its own. The next one gets a lower number, as
# happens where numbers have begun anew.
kill -9 "$first"
wait "$first" 2>/dev/null || :
echo 20 2>/dev/null >/proc/sys/kernel/ns_last_pid || :
start "$tool" run --limit 48M --stats -- "$worker"
third=$pid
wait_for_worker "$third"
[ "$third" -lt "$second" ] || echo "left out: numbers can't be chosen"
sleep 1
[ "$(slot_of "$third"), $(slot_of "$second")" = '0, 1' ] || fail "slots, then: $(client print | grep info)"
# A restarted exporter goes by their age.
ends INT
serve 0
[ "$(slot_of "$second"), $(slot_of "$third")" = '0, 1' ] || fail "slots, anew: $(client print | grep info)"

# ---- Pages of others, and Prometheus's own opinion ----
start "$fake" nonsense
nonsense=$pid
start "$fake" grows
growing=$pid
sleep 1
client print >"$tmp/metrics"
[ "$(tr -d '[:print:]\n' <"$tmp/metrics" | wc -c)" -eq 0 ] || fail "control characters got through"
[ "$(grep -c '^oomreclaim_process_info{' "$tmp/metrics")" -eq 4 ] || fail "not four: $(grep info "$tmp/metrics")"
is_like '^oomreclaim_limit_seconds\{.*\} 65$' "$tmp/metrics"
client json "$second"
for start in busy foreign short; do
	start "$fake" $start
done
if command -v promtool >/dev/null; then
	promtool check metrics <"$tmp/metrics" >"$tmp/said" 2>&1 || fail "promtool: status $?"
	[ ! -s "$tmp/said" ] || fail "promtool: $(cat "$tmp/said")"
else
	echo "left out: there is no promtool"
fi
kill -9 "$growing"
client slow

# ---- Totals ----
# It has one, too.
kill -9 "$nonsense"
wait "$nonsense" 2>/dev/null || :
# share: two processes of one total; sets $elder and $younger.
share()
{
	# shellcheck disable=SC2016
	start "$tool" run --total 128M --limit 48M --stats -- sh -c '"$1" >/dev/null & exec "$1"' sh "$worker"
	elder=$pid
	younger=$(pgrep -P "$elder")
	children="$children $younger"
	wait_for_worker "$elder"
	wait_for_worker "$younger"
}
start "$tool" run --total 64M --limit 48M --stats -- "$worker"
alone=$pid
wait_for_worker "$alone"
share
client totals "$elder" "$younger" >"$tmp/before"
is_like '^command worker, slot [0-9]+$' "$tmp/before"
! client print | grep -E '^oomreclaim_total_[a-z_]+\{.*\} 0$' | grep -v times_met || fail "a total of nothing"
client print >"$tmp/metrics"
# It is there after a restart, under the same labels, ...
kill -9 "$elder" "$younger"
wait "$elder" 2>/dev/null || :
share
client totals "$elder" "$younger" >"$tmp/after"
diff "$tmp/before" "$tmp/after" || fail "a total has other labels after a restart"
# ... and as long as one process shares it.
kill -9 "$elder"
wait "$elder" 2>/dev/null || :
client totals "$younger" >/dev/null
kill -9 "$younger" "$alone"
wait "$alone" 2>/dev/null || :
if command -v promtool >/dev/null; then
	promtool check metrics <"$tmp/metrics" >"$tmp/said" 2>&1 || fail "promtool, of totals: status $?"
	[ ! -s "$tmp/said" ] || fail "promtool, of totals: $(cat "$tmp/said")"
fi

# Processes that come and go.
(while "$tool" run --stats -- /usr/bin/python3 -c pass; do :; done) &
churn=$!
children="$children $churn"
for _ in 1 2 3 4 5 6; do
	sleep 1
	client worker "$second" >/dev/null
done
kill "$churn"
wait "$churn" 2>/dev/null || :

# ---- The unit that a process is of ----
# in_unit PATH LABELS: of a process in that group of systemd's hierarchy.
in_unit()
{
	group=$systemd/oomreclaim-${tmp##*/}/$1
	mkdir -p "$group"
	# shellcheck disable=SC2016
	start sh -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' sh "$group" "$tool" run --limit 48M --stats -- "$worker"
	wait_for_worker "$pid"
	sleep 1
	client worker "$pid" >"$tmp/out"
	grep -qxF "$2" "$tmp/out" || fail "$1: $(cat "$tmp/out")"
	kill -9 "$pid"
	wait "$pid" 2>/dev/null || :
}
systemd=$(awk '$0 ~ / - cgroup / && $NF ~ /name=systemd/ { print $5; exit }' /proc/self/mountinfo)
if [ -n "$systemd" ] && mkdir "$systemd/oomreclaim-${tmp##*/}" 2>/dev/null; then
	in_unit system.slice/web@1.service 'slot 0, unit "web@1.service"'
	in_unit user.slice/user@1000.service/app.slice/shop.service/inner 'slot 0, unit "shop.service"'
	in_unit 'user.slice/odd"\name.scope' 'slot 0, unit "odd\"\\name.scope"'
	# None, as the other two workers.
	in_unit slices/.service 'slot 2, unit ""'
	find "$systemd/oomreclaim-${tmp##*/}" -depth -type d -exec rmdir {} +
else
	echo "left out: systemd's hierarchy is not to be had"
fi

# Nothing is left of all that.
i=0
until [ "$(find "/proc/$exporter/fd" | wc -l)" -eq "$descriptors" ] || [ $i -eq 100 ]; do
	sleep 0.1
	i=$((i + 1))
done
[ $i -lt 100 ] || fail "descriptors: $(ls -l "/proc/$exporter/fd")"
ends TERM

# ---- What the documents have ----
mkdir "$tmp/units"
sed "s|^ExecStart=/usr/bin/oomreclaim |ExecStart=$(realpath "$tool") |" \
	"$source/examples/systemd/oomreclaim-export.service" >"$tmp/units/oomreclaim-export.service"
grep -q "^ExecStart=$(realpath "$tool") export --listen 127\.0\.0\.1:[0-9]*\$" "$tmp/units/oomreclaim-export.service" ||
	fail "the unit starts something else"
if command -v systemd-analyze >/dev/null; then
	systemd-analyze verify --man=no "$tmp/units/oomreclaim-export.service" >"$tmp/said" 2>&1 || fail "systemd-analyze: status $?"
	! grep oomreclaim-export "$tmp/said" || fail "systemd-analyze"
else
	echo "left out: there is no systemd-analyze"
fi
# A block of docs/monitoring.md, by a line of it.
block()
{
	awk -v wanted="$1" '
		/^    / { text = text substr($0, 5) "\n"; found = found || index($0, wanted); next }
		{ if (found) { printf "%s", text; exit } text = "" }' "$source/docs/monitoring.md"
}
if command -v promtool >/dev/null; then
	block 'scrape_configs:' >"$tmp/prometheus.yml"
	block 'groups:' >"$tmp/oomreclaim.rules.yml"
	promtool check config "$tmp/prometheus.yml" >"$tmp/said" 2>&1 || fail "the configuration: $(cat "$tmp/said")"
	is_like '^  SUCCESS: 1 rule files found$' "$tmp/said"
	is_like '^  SUCCESS: [1-9][0-9]* rules found$' "$tmp/said"
	# Of metrics that there are.
	grep -Eo 'oomreclaim_[a-z_]+' "$tmp/oomreclaim.rules.yml" | sort -u >"$tmp/named"
	while read -r metric; do
		grep -q "^# TYPE $metric " "$tmp/metrics" || fail "the rules: there is no $metric"
	done <"$tmp/named"
fi
verdict
