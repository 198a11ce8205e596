#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A page cache as large as SQLite likes, in a process that may have 48 MiB: the module gives back pages
# when others need the memory. The argument is what a page costs beside other caches: 20, as it is read
# from a disk.
#
#     sqlite.sh          # without the module it ends with "out of memory"
set -eu

database=$(mktemp)
trap 'rm -f "$database"' EXIT
sqlite3 "$database" 'PRAGMA journal_mode = off; CREATE TABLE t (id INTEGER PRIMARY KEY, text BLOB);
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
	INSERT INTO t SELECT i, zeroblob(2000) FROM n;' >/dev/null
for settings in '' --conf=modules:sqlite=20; do
	oomreclaim run --limit 48M ${settings:+"$settings"} -- sqlite3 "$database" \
		'PRAGMA cache_size = -2000000; SELECT sum(length(text)) FROM t; SELECT sum(id) FROM t;' ||
		echo 'without the module: no memory'
done
