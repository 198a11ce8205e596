#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# sqlite-module.sh LIBRARY MODULE: a cache that may grow beyond the limit. Without the module the
# queries fail; with it they give what they give without a limit, in the sqlite3 shell and in
# Python.
set -eu

library=$1 module=$2
unset LD_PRELOAD MALLOC_CONF OOMRECLAIM_CONF
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/oomreclaim"
cp "$library" "$tmp/liboomreclaim.so.0"
cp "$module" "$tmp/oomreclaim/sqlite.so"
failures=0

fail()
{
	echo "FAIL: $*"
	failures=1
}

# limited CONF COMMAND...
limited()
{
	conf=$1
	shift
	env LD_PRELOAD="$tmp/liboomreclaim.so.0" OOMRECLAIM_CONF="limit:48M$conf" "$@"
}

# 100 MB, read twice over.
sqlite3 "$tmp/db" 'PRAGMA journal_mode = off; CREATE TABLE t (id INTEGER PRIMARY KEY, text BLOB);
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
	INSERT INTO t SELECT i, zeroblob(2000) FROM n;' >"$tmp/out"
query='PRAGMA cache_size = -2000000; SELECT sum(length(text)), count(*) FROM t;
	SELECT sum(length(text)) FROM t; SELECT sum(id) FROM t WHERE text = zeroblob(2000);'
sqlite3 "$tmp/db" "$query" >"$tmp/expected"

if limited '' sqlite3 "$tmp/db" "$query" >"$tmp/out" 2>"$tmp/err" && cmp -s "$tmp/out" "$tmp/expected"; then
	fail "the shell did without the module: this limit tests nothing"
fi
cat "$tmp/err"
limited ',modules:sqlite' sqlite3 "$tmp/db" "$query" >"$tmp/out" 2>"$tmp/err" || fail "the shell: status $?"
cat "$tmp/err"
cmp "$tmp/out" "$tmp/expected" || fail "the shell: another result"
# Named twice, it is there once.
limited ',modules:sqlite+sqlite' sqlite3 "$tmp/db" "$query" >"$tmp/out" 2>"$tmp/err" ||
	fail "named twice: status $?"
cmp "$tmp/out" "$tmp/expected" || fail "named twice: another result"
if [ "$(wc -l <"$tmp/err")" -ne 1 ] || ! grep -q 'sqlite.so: it refused to start; ' "$tmp/err"; then
	fail "named twice: $(cat "$tmp/err")"
fi

# The cost is one that a shrinker may have.
for cost in 0 1001 x 2x ' 2' 99999999999999999999; do
	limited ",modules:sqlite=$cost" sqlite3 :memory: 'SELECT 1;' >"$tmp/out" 2>"$tmp/err" || fail "cost $cost: status $?"
	if [ "$(cat "$tmp/out")" != 1 ] || ! grep -q 'sqlite.so: it refused to start; ' "$tmp/err"; then
		fail "cost $cost: $(cat "$tmp/err")"
	fi
done

# Threads with a connection each, and a writer among them; what SQLite itself does not ask for, too.
cat >"$tmp/load.py" <<'PY'
import sqlite3, sys, threading

def read(number, results):
    db = sqlite3.connect(sys.argv[1], timeout=60)
    db.execute("PRAGMA cache_size = -2000000")
    for turn in range(3):
        rows = db.execute("SELECT sum(length(text)), count(*) FROM t").fetchall()
    results[number] = rows
    db.close()

def write(number, results):
    db = sqlite3.connect(":memory:" if number % 2 else "")
    db.execute("PRAGMA cache_size = -2000000")
    db.execute("CREATE TABLE w (i INTEGER PRIMARY KEY, j)")
    for turn in range(20):
        db.executemany("INSERT INTO w (j) VALUES (?)", ((i,) for i in range(1000)))
        db.commit()
    results[number] = db.execute("SELECT count(*), sum(j) FROM w").fetchall()
    db.close()

results = {}
threads = [threading.Thread(target=work, args=(number, results))
           for number, work in enumerate([read, read, write, write])]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
keep = sqlite3.connect(sys.argv[1])
keep.execute("PRAGMA cache_size = -2000000")
keep.execute("SELECT sum(length(text)) FROM t").fetchall()
block = bytearray(12 << 20)  # not SQLite's
print(sorted(results.items()), len(block), keep.execute("PRAGMA integrity_check").fetchall())
PY
env LD_PRELOAD="$tmp/liboomreclaim.so.0" /usr/bin/python3 "$tmp/load.py" "$tmp/db" >"$tmp/expected"
if limited '' /usr/bin/python3 "$tmp/load.py" "$tmp/db" >"$tmp/out" 2>"$tmp/err" &&
	cmp -s "$tmp/out" "$tmp/expected"; then
	fail "Python did without the module: this limit tests nothing"
fi
tail -n 1 "$tmp/err"
limited ',modules:sqlite' /usr/bin/python3 "$tmp/load.py" "$tmp/db" >"$tmp/out" 2>"$tmp/err" ||
	fail "Python: status $?"
cat "$tmp/err"
cmp "$tmp/out" "$tmp/expected" || fail "Python: another result"
[ "$failures" -eq 0 ] && echo ok
exit "$failures"
