#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# stat.sh TOOL LIBRARY WORKER FAKE_PAGE HOSTILE_FD: the statistics of other processes, in all forms,
# and of those that have none.
set -eu

tool=$1 library=$2 worker=$3 fake=$4 hostile=$5
# shellcheck source=tests/tool/common.sh
. "$(dirname "$0")/common.sh"

start "$tool" run --limit 48M --conf high:90%,low:50% --stats -- "$worker"
worker_pid=$pid
wait_for_worker "$worker_pid"

# ---- Text ----
expect 0 "$tool" stat "$worker_pid"
is_like "^process   $worker_pid \(worker\), oomreclaim [0-9.]+, policy return, as of [0-9.]+ s ago\$" \
	"$tmp/out"
is_like '^budget    charged [0-9.]+M  limit 48\.0M  peak ' "$tmp/out"
is_like '^          watermarks: high 43\.2M  low 24\.0M  reserve 1\.00M$' "$tmp/out"
is_like '^ +3 +[1-9][0-9]* +[0-9.]+M +[0-9.]+M +[0-9.]+ ms  the "cache"$' "$tmp/out"
is_like '^last +[0-9]{4}-[0-9]{2}-[0-9]{2} .*: NULL for 16\.0E bytes, constraint [A-Z_]+$' "$tmp/out"

# ---- JSON ----
expect 0 "$tool" stat --json "$worker_pid"
/usr/bin/python3 - "$tmp/out" "$worker_pid" <<'END' || fail "--json"
import json, sys
stats = json.load(open(sys.argv[1]))
assert stats['pid'] == int(sys.argv[2])
assert stats['name'] == 'worker'
assert stats['policy'] == 'return'
assert stats['limit'] == 48 << 20
assert 0 < stats['charged'] <= stats['charged_peak'] <= stats['limit']
assert stats['refused'] == stats['impossible'] == 1
assert stats['failures'] == stats['served'] + stats['refused']
assert stats['last_outcome'] == 'NULL' and stats['last_size'] == 2 ** 64 - 1, stats
assert stats['last_constraint'] and stats['last_pid'] == 0
(callback,) = stats['callback']
assert callback['name'] == 'the "cache"' and callback['priority'] == 3
claimed = stats['direct_bytes_claimed'] + stats['background_bytes_claimed']
assert callback['calls'] > 0 and callback['bytes_claimed'] == claimed >= 10 << 20, stats
END

# ---- Headroom, and caches ----
start "$tool" run --limit 48M --conf high:46M --stats -- "$worker" caches
caches=$pid
wait_for_worker "$caches"
until "$tool" stat "$caches" >"$tmp/out" && grep -q '^ .* with a target$' "$tmp/out"; do
	sleep 0.1
done
is_like '^headroom  [0-9.]+[KM]?, constraint HIGH, level (low|medium|critical)$' "$tmp/out"
is_like '^caches      counted    target  regretted  name$' "$tmp/out"
is_like '^ +3\.00M +[0-9.]+[KM]? +12\.1K  with a target$' "$tmp/out"
is_like '^ +1\.00M +- +0  without$' "$tmp/out"
expect 0 "$tool" stat --json "$caches"
/usr/bin/python3 - "$tmp/out" <<'END' || fail "--json of caches"
import json, sys
stats = json.load(open(sys.argv[1]))
assert stats['headroom'] < 16 << 20 and stats['headroom_constraint'] == 'HIGH', stats
assert stats['level'] in (50, 100, 255), stats
plain, target, without = (one for one in sorted(stats['callback'], key=lambda one: one['name'] != 'the "cache"'))
assert 'bytes_counted' not in plain and 'bytes_target' not in plain
assert target['bytes_counted'] == 3 << 20 and target['bytes_regretted'] == 12345, target
assert 0 < target['bytes_target'] < 48 << 20, target
assert without['bytes_counted'] == 1 << 20 and 'bytes_target' not in without, without
END
expect 0 "$tool" stat --prometheus "$caches"
is_like '^oomreclaim_headroom_bytes\{pid="[0-9]+",name="worker"\} [0-9]+$' "$tmp/out"
is_like '^oomreclaim_level\{pid="[0-9]+",name="worker"\} (50|100|255)$' "$tmp/out"
is_like '^oomreclaim_callback_target_bytes\{.*callback="with a target".*\} [0-9]+$' "$tmp/out"
is_like '^oomreclaim_callback_regretted_bytes_total\{.*callback="with a target".*\} 12345$' "$tmp/out"
if grep -E '^oomreclaim_callback_(target|counted|regretted).*"(without|the \\"cache)' "$tmp/out"; then
	fail "a target of one that has none"
fi
kill -9 "$caches"

# ---- Time to the limit ----
start "$fake" grows
growing=$pid
expect 0 "$tool" stat "$growing"
is_like '^          grows by 1\.00M a second: the limit in 1m05s$' "$tmp/out"
expect 0 "$tool" stat --json "$growing"
is_like '"growth_per_second": 1048576, "seconds_to_limit": 65,' "$tmp/out"
expect 0 "$tool" stat --prometheus "$growing"
is_like '^oomreclaim_charged_growth_bytes_per_second\{.*\} 1048576$' "$tmp/out"
is_like '^oomreclaim_limit_seconds\{.*\} 65$' "$tmp/out"
kill -9 "$growing"
# Where there is no growth, or no limit, there is no such time.
expect 0 "$tool" stat --json "$worker_pid"
is_like '"growth_per_second": 0, "seconds_to_limit": null,' "$tmp/out"
! "$tool" stat --prometheus "$worker_pid" | grep '^oomreclaim_limit_seconds' || fail "a time without growth"
! "$tool" stat "$worker_pid" | grep ' grows by ' || fail "growth of what does not grow"

# ---- Several, and all ----
start env OOMRECLAIM_CONF=stats:true LD_PRELOAD="$library" "$worker"
second=$pid
wait_for_worker "$second"
expect 0 "$tool" stat --json "$worker_pid" "$second"
/usr/bin/python3 -c 'import json, sys
one, two = json.load(open(sys.argv[1]))
assert one["pid"] == int(sys.argv[2]) and two["pid"] == int(sys.argv[3])
assert two["limit"] is two["high"] is two["low"] is None' "$tmp/out" "$worker_pid" "$second" ||
	fail "--json of two"
expect 0 "$tool" stat --json
/usr/bin/python3 -c 'import json, sys
pids = [one["pid"] for one in json.load(open(sys.argv[1]))]
assert int(sys.argv[2]) in pids and int(sys.argv[3]) in pids' "$tmp/out" "$worker_pid" "$second" ||
	fail "--json of all"

# ---- Prometheus: its text format, each metric once, nothing for what there is not ----
expect 0 "$tool" stat --prometheus "$worker_pid" "$second"
/usr/bin/python3 - "$tmp/out" "$worker_pid" "$second" <<'END' || fail "--prometheus"
import re, sys
types, seen, values = {}, [], {}
label = r'[a-z_]+="(?:[^"\\\n]|\\["\\n])*"'
for line in open(sys.argv[1]):
    if match := re.fullmatch(r'# HELP (\w+) \S.*\n', line):
        seen.append(match[1])
    elif match := re.fullmatch(r'# TYPE (\w+) (gauge|counter)\n', line):
        assert match[1] == seen[-1] and match[1] not in types, line
        types[match[1]] = match[2]
    else:
        match = re.fullmatch(r'(\w+)\{(%s(?:,%s)*)\} ([0-9.e+-]+)\n' % (label, label), line)
        assert match and match[1] == seen[-1], line
        assert (match[1], match[2]) not in values, line
        values[match[1], match[2]] = float(match[3])
assert all(name.startswith('oomreclaim_') for name in types)
assert all(name.endswith('_total') == (kind == 'counter') for name, kind in types.items()), types
first, second = ('pid="%s",name="worker"' % pid for pid in sys.argv[2:])
assert values['oomreclaim_limit_bytes', first] == 48 << 20
assert ('oomreclaim_limit_bytes', second) not in values
assert values['oomreclaim_impossible_total', second] == 1
name = ',callback="the \\"cache\\"",priority="3",number="0"'
assert values['oomreclaim_callback_claimed_bytes_total', first + name] >= 10 << 20
assert values['oomreclaim_callback_longest_seconds', first + name] < 50
END

# And Prometheus has nothing to say against it.
if command -v promtool >/dev/null; then
	promtool check metrics <"$tmp/out" >"$tmp/said" 2>&1 || fail "promtool: status $?: $(cat "$tmp/said")"
	[ ! -s "$tmp/said" ] || fail "promtool: $(cat "$tmp/said")"
else
	echo "left out: there is no promtool"
fi

# The total of the one that has it.
start "$tool" run --total 128M --limit 48M --stats -- "$worker"
wait_for_worker "$pid"
expect 0 "$tool" stat --prometheus "$pid" "$worker_pid"
is_like "^oomreclaim_total_limit_bytes\\{pid=\"$pid\",name=\"worker\"\\} 134217728\$" "$tmp/out"
is_like "^oomreclaim_total_processes\\{pid=\"$pid\",name=\"worker\"\\} 1\$" "$tmp/out"
[ "$(grep -c '^oomreclaim_total_[a-z_]*{' "$tmp/out")" -eq 6 ] || fail "a total: $(grep oomreclaim_total_ "$tmp/out")"
# Another process can't say that it is its own: it has not mapped what has this inode.
member=$pid
id=$("$tool" stat --json "$member" | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["total"]["id"])')
start "$fake" total "$id"
expect 0 "$tool" stat --prometheus "$pid" "$member"
is_like "^oomreclaim_total_limit_bytes\\{pid=\"$member\",name=\"worker\"\\} 134217728\$" "$tmp/out"
[ "$(grep -c '^oomreclaim_total_[a-z_]*{' "$tmp/out")" -eq 6 ] || fail "another's total: $(grep oomreclaim_total_ "$tmp/out")"
is_like "^oomreclaim_limit_bytes\\{pid=\"$pid\"," "$tmp/out"
expect 0 "$tool" stat "$pid"
! grep ^total "$tmp/out" || fail "a total of another process"
kill -9 "$pid" "$member"
# Its own is its own.
start "$fake" total 0
expect 0 "$tool" stat "$pid"
is_like '^total     charged ' "$tmp/out"
kill -9 "$pid"

# ---- Events ----
start "$tool" run --limit 48M --stats -- "$worker"
wait_for_worker "$pid"
expect 0 "$tool" stat --events "$pid"
at='[0-9-]+ [0-9:.]+ +[0-9]+'
is_like "^$at failure      18446744073709551615 bytes, from the program\+0x[0-9a-f]+\$" "$tmp/out"
is_like "^$at failure      65536 bytes, from the program\+0x[0-9a-f]+\$" "$tmp/out"
is_like "^$at step         callbacks, for 65536 bytes, .* claimed so far\$" "$tmp/out"
is_like "^$at callback     the \"cache\" is asked for .* \(limit\)\$" "$tmp/out"
is_like "^$at callback end the \"cache\" claims .* after [0-9.]+ ms\$" "$tmp/out"
is_like "^$at verdict      served, for 65536 bytes\$" "$tmp/out"
is_like "^$at verdict      NULL, for 18446744073709551615 bytes, constraint [A-Z]+\$" "$tmp/out"
refuses 2 'stat: --prometheus has no place for --events; .*' "$tool" stat --prometheus --events
expect 0 "$tool" stat --json --events "$pid"
# The place of a failure is one in malloc()'s caller: main(), or what it calls.
/usr/bin/python3 - "$tmp/out" "$pid" "$worker" <<'END' || fail "--json --events"
import json, subprocess, sys
process = json.load(open(sys.argv[1]))
events = process['events']
numbers = [event['number'] for event in events]
assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), numbers
assert all(before['time_ns'] <= after['time_ns'] for before, after in zip(events, events[1:]))
last = [event for event in events if event['event'] == 'failure'][-1]
assert last['thread'] == int(sys.argv[2]) and last['bytes'] == 2**64 - 1 and last['name'] == ''
function = subprocess.run(['addr2line', '-f', '-e', sys.argv[3], hex(last['more'] - 1)],
                          capture_output=True, text=True, check=True).stdout.split('\n')[0]
assert function == 'main', function
END
kill -9 "$pid"

# ---- Gone with its process ----
kill -9 "$second"
wait "$second" 2>/dev/null || :
refuses 1 "there is no process $second; see ps" "$tool" stat "$second"
refuses 1 "there is no process $second; see ps" "$tool" top "$second"
expect 1 "$tool" stat --json "$second" "$worker_pid"
/usr/bin/python3 -c 'import json, sys; assert len(json.load(open(sys.argv[1]))) == 1' "$tmp/out" ||
	fail "one of two is there"

# Its parent has not waited for it.
start_zombie "$tool" run --stats -- "$worker"
wait_for_worker "$zombie"
kill_zombie
for command in top stat; do
	refuses 1 "process $zombie \(worker\) has ended, and its parent has not waited for it yet; .*" \
		"$tool" $command "$zombie"
done

# Its first thread has ended, and another goes on.
start "$tool" run --total 128M --limit 48M --stats -- "$worker" leave
until grep -q '^State:.*zombie' "/proc/$pid/status"; do
	sleep 0.1
done
wait_for_worker "$pid"
expect 0 "$tool" stat "$pid"
is_like "^process   $pid \(worker\), " "$tmp/out"
is_like '^total     charged .*  limit 128\.0M ' "$tmp/out"

# It has closed its page's descriptor, and has another thread: the page is among those of a thread of ours.
start "$tool" run --limit 48M --stats -- "$worker" close
wait_for_worker "$pid"
for fd in "/proc/$pid/fd"/*; do
	case $(readlink "$fd") in
	/memfd:*) fail "the program has the page" ;;
	esac
done
expect 0 "$tool" stat "$pid"
is_like "^process   $pid \(worker\), " "$tmp/out"

# ---- Processes that have none ----
start env LD_PRELOAD="$library" "$worker"
for command in top stat; do
	refuses 1 "process $pid \(worker\) runs with oomreclaim, but shares no statistics; start it with .*" \
		"$tool" $command "$pid"
done
start "$worker"
refuses 1 "process $pid \(worker\) runs without oomreclaim; start it with oomreclaim run --stats" \
	"$tool" stat "$pid"

# Another user's: root's for everybody else, else the first process.
if [ "$(id -u)" -eq 0 ]; then
	cp "$tool" "$tmp/oomreclaim"
	chmod 755 "$tmp" "$tmp/oomreclaim"
	for command in top stat; do
		refuses 1 "process $worker_pid \(worker\) belongs to user root; run this as that user or as root" \
			setpriv --reuid 65534 --regid 65534 --clear-groups \
			"$tmp/oomreclaim" $command "$worker_pid"
	done
	expect 1 setpriv --reuid 65534 --regid 65534 --clear-groups "$tmp/oomreclaim" stat
	is_like '^oomreclaim: no process that may be looked at shares statistics; ' "$tmp/err"
else
	refuses 1 'process 1 \(.*\) belongs to user root; run this as that user or as root' \
		"$tool" stat 1
fi

# ---- Pages that are not as they should be ----
start "$fake" version
refuses 1 "process $pid \(fake_page\): its statistics are of version 9, and this command reads version 8; .*" \
	"$tool" stat "$pid"
refuses 1 "process $pid \(fake_page\): its statistics are of version 9, .*" "$tool" top "$pid"
start "$fake" size
refuses 1 "process $pid \(fake_page\): its statistics are of version 8, .*" "$tool" stat "$pid"
start "$fake" foreign
refuses 1 "process $pid \(fake_page\) is a copy of process [0-9]+, .*" "$tool" stat "$pid"
for kind in busy magic short; do
	start "$fake" $kind
	refuses 1 "process $pid \(fake_page\): its statistics are never whole; .*" "$tool" stat "$pid"
	kill -9 "$pid"
done
start "$fake" nonsense
expect 0 "$tool" stat "$pid"
[ "$(tr -d '[:print:]\n' <"$tmp/out" | wc -c)" -eq 0 ] || fail "control characters got through"
expect 0 "$tool" stat --json --events "$pid"
/usr/bin/python3 -m json.tool "$tmp/out" >/dev/null || fail "nonsense is no JSON"
expect 0 "$tool" stat --events "$pid"
[ "$(tr -d '[:print:]\n' <"$tmp/out" | wc -c)" -eq 0 ] || fail "control characters got through"
[ "$(grep -Ec '^[0-9-]{10,} [0-9:.]+ +-1 ' "$tmp/out")" -eq 128 ] || fail "not the 128 events that are numbered"
kill -9 "$pid"

# ---- What is no page, under a page's name: root does not open what another user names ----
# hide FILE: as nobody, or as root where users may have no namespaces.
hide()
{
	if setpriv --reuid 65534 --regid 65534 --clear-groups unshare -rm true 2>"$tmp/err"; then
		start setpriv --reuid 65534 --regid 65534 --clear-groups unshare -rm "$tmp/hostile_fd" hide "$1" "$tmp/root"
	else
		start unshare -m "$tmp/hostile_fd" hide "$1" "$tmp/root"
	fi
}
if [ "$(id -u)" -eq 0 ]; then
	chmod 755 "$tmp"
	cp "$hostile" "$tmp/hostile_fd"
	mkdir "$tmp/root"
	mkfifo "$tmp/secret_fifo"
	echo secret >"$tmp/secret"
	# On the file system that memfds are of, too.
	shm=$(mktemp /dev/shm/oomreclaim-XXXXXX)
	for file in "$tmp/secret" "$tmp/secret_fifo" "$shm"; do
		chmod 600 "$file"
		hide "$file"
		for command in stat "stat $pid" "top --count 1" "top --count 1 $pid"; do
			# shellcheck disable=SC2086
			"$hostile" watch "$file" "$tool" $command || fail "$command opens $file: status $?"
		done
		kill -9 "$pid"
	done
	rm "$shm"
	# The watch sees what is opened.
	if "$hostile" watch "$tmp/secret" /bin/cat "$tmp/secret"; then
		fail "nothing is seen of an open()"
	fi
fi

# Many that are never whole take no longer than one.
busy=
i=0
while [ $i -lt 50 ]; do
	start "$fake" busy
	busy="$busy $pid"
	i=$((i + 1))
done
timeout 30 "$tool" stat >"$tmp/out" || fail "stat of many: status $?"
# shellcheck disable=SC2086
kill -9 $busy
verdict
