/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sqlite_shares equal|dear|pinned: a page cache of SQLite's beside a shrinker of the program's own,
 * and two page caches beside each other. Under modules:sqlite, or modules:sqlite=20 for `dear`.
 */
#include <stdlib.h>
#include <unistd.h>

#include <sqlite3.h>

#include "check.h"
#include "oomreclaim.h"

#define OWN_BYTES (16 * MIB)

static struct pool own;
static size_t own_lost;

static size_t count(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	return own.count * 4 * KIB;
}

static size_t scan(const struct oomreclaim_control *control, void *arg)
{
	size_t freed = pool_evict(&own, control->bytes_wanted);

	(void)arg;
	own_lost += freed;
	return freed;
}

static void run(sqlite3 *db, const char *text)
{
	CHECK_EQ(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
}

/* In a file of its own, which is gone with the process; all of it in the cache. What is in no file
   that SQLite knows by name would never be written, and all its pages be pinned. */
static sqlite3 *open_with(int mib)
{
	char path[] = "/tmp/sqlite-shares-XXXXXX", text[200];
	int fd = mkstemp(path);
	sqlite3 *db;

	CHECK(fd >= 0);
	CHECK_EQ(sqlite3_open(path, &db), SQLITE_OK);
	run(db, "PRAGMA journal_mode = off");
	unlink(path);
	close(fd);
	run(db, "PRAGMA cache_size = -1000000; CREATE TABLE t (id INTEGER PRIMARY KEY, text BLOB)");
	sqlite3_snprintf(sizeof text, text,
	                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
	                 "%d) INSERT INTO t SELECT i, zeroblob(3800) FROM n",
	                 mib * 256);
	run(db, text);
	run(db, "SELECT sum(length(text)) FROM t");
	return db;
}

static size_t held(sqlite3 *db)
{
	int now, most;

	CHECK_EQ(sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_USED, &now, &most, 0), SQLITE_OK);
	return (size_t)now;
}

static void enlist(void)
{
	const struct oomreclaim_shrinker shrinker = {.name = "own",
	                                             .count = count,
	                                             .scan = scan,
	                                             .cost = OOMRECLAIM_COST_DEFAULT};

	for (size_t i = 0; i < OWN_BYTES / (4 * KIB); i++)
		CHECK(pool_add(&own, 4 * KIB));
	CHECK_EQ(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, NULL), 0);
}

/* Both have as much, and lose as much. */
static void equal(void)
{
	sqlite3 *db = open_with(16);
	size_t before = held(db), lost;

	CHECK(before > 15 * MIB && before < 18 * MIB);
	enlist();
	CHECK(oomreclaim_reclaim(8 * MIB) >= 8 * MIB);
	lost = before - held(db);
	CHECK(lost > 3 * MIB && lost < 5 * MIB);
	CHECK(own_lost > 3 * MIB && own_lost < 5 * MIB);
	run(db, "SELECT sum(length(text)) FROM t");
	CHECK_EQ(sqlite3_close(db), SQLITE_OK);
}

/* SQLite's part is a tenth of the other's. */
static void dear(void)
{
	sqlite3 *db = open_with(16);
	size_t before = held(db), lost;

	enlist();
	CHECK(oomreclaim_reclaim(11 * MIB) >= 11 * MIB);
	lost = before - held(db);
	/* An eighth goes at least. */
	CHECK(lost > MIB / 2 && lost < 3 * MIB);
	CHECK(own_lost > 8 * MIB);
	CHECK_EQ(sqlite3_close(db), SQLITE_OK);
}

/* One cache is three times as large, and loses three times as much. */
static void several(void)
{
	sqlite3 *small = open_with(8), *large = open_with(24);
	size_t small_had = held(small), large_had = held(large), of_small, of_large;

	CHECK(oomreclaim_reclaim(16 * MIB) >= 15 * MIB);
	of_small = small_had - held(small);
	of_large = large_had - held(large);
	CHECK(of_small > 3 * MIB && of_small < 5 * MIB);
	CHECK(of_large > 2 * of_small && of_large < 4 * of_small);
	CHECK_EQ(sqlite3_close(small), SQLITE_OK);
	CHECK_EQ(sqlite3_close(large), SQLITE_OK);
}

/* Pages that were changed stay until they are written; then they can go. */
static void pinned(void)
{
	sqlite3 *db = open_with(16);
	size_t first, second;

	run(db, "PRAGMA cache_spill = off; BEGIN; UPDATE t SET text = zeroblob(3801)");
	first = oomreclaim_reclaim(32 * MIB);
	second = oomreclaim_reclaim(32 * MIB);
	CHECK(first < 4 * MIB && second == 0);
	CHECK(held(db) > 14 * MIB);
	run(db, "COMMIT");
	CHECK(oomreclaim_reclaim(32 * MIB) > 12 * MIB);
	run(db, "SELECT sum(length(text)) FROM t");
	CHECK_EQ(sqlite3_close(db), SQLITE_OK);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {{"equal", equal},
	                                          {"dear", dear},
	                                          {"several", several},
	                                          {"pinned", pinned}};

	return check_main(argc, argv, cases, COUNT(cases));
}
