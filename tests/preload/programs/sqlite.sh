#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The sqlite3 shell: the same rows with the preload and without, also where a limit on the address
# space leaves little room.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

need sqlite3 prlimit

cat >work.sql <<'SQL'
PRAGMA journal_mode = memory;
PRAGMA cache_size = -16384;
PRAGMA temp_store = memory;
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, class INTEGER, body BLOB);
CREATE TABLE class (id INTEGER PRIMARY KEY, label TEXT);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 96)
INSERT INTO class SELECT i, 'class ' || i FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
INSERT INTO item SELECT i, printf('item %08x', i * 2654435761 & 0xffffffff), i * 7919 % 97,
	zeroblob(i % 64) FROM n;
CREATE INDEX item_name ON item (name);
CREATE INDEX item_class ON item (class, length(body));
SELECT label, count(*), sum(length(body)), min(name), max(name)
	FROM item JOIN class ON class.id = item.class GROUP BY label ORDER BY label;
SELECT name FROM item ORDER BY substr(name, -3), name LIMIT 100 OFFSET 100000;
SELECT count(*) FROM item a JOIN item b ON a.name = b.name;
UPDATE item SET name = name || '!' WHERE class % 3 = 0;
DELETE FROM item WHERE class % 5 = 0;
SELECT length(group_concat(name)) FROM (SELECT name FROM item ORDER BY name);
SELECT count(*), sum(id) FROM item WHERE name LIKE '%!';
VACUUM;
PRAGMA integrity_check;
SQL

compare rows sqlite3 :memory: '.read work.sql'
tail -n 1 rows.preload | grep -qx ok || fail "integrity_check is not ok" rows.preload

# prlimit itself stays without the preload.
limited() {
	prlimit --as="$1" env LD_PRELOAD="$preload" WITNESS="$witness" \
		sqlite3 "$2" '.read work.sql'
}
limited $((128 << 20)) file.db >limited.out 2>limited.err ||
	fail "does not work in 128 MiB of address space" limited.err
cmp rows.plain limited.out || fail "128 MiB: other rows" rows.plain limited.out
[ ! -s limited.err ] || fail "128 MiB: messages" limited.err
note "rows in 128 MiB"

# Too little for all of it in memory: SQLite has to say so, and nothing worse.
status=0
limited $((40 << 20)) :memory: >small.out 2>small.err || status=$?
[ "$status" -eq 1 ] || fail "40 MiB: status $status" small.err
grep -qi 'out of memory' small.err || fail "40 MiB: no word on it from SQLite" small.err
note "out of memory in 40 MiB"

witnessed sqlite3
