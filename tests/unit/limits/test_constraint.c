/* SPDX-License-Identifier: BSD-2-Clause */
/* Rung 11, over a /proc and cgroups that a test makes up. Limits that are really set are set so
   high that nothing meets them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/base.h"
#include "budget_set.h"
#include "limits/budget.h"
#include "limits/constraint.h"
#include "support.h"

#define MIB ((size_t)1 << 20)
/* What the heap may ask for on top of the request: a quarter of it, and 4 MiB. */
#define ASKED_FOR(bytes) ((bytes) + (bytes) / 4 + 4 * MIB)
#define PAGE ((uint64_t)sysconf(_SC_PAGESIZE))
#define FAR ((uint64_t)1 << 60)

static void init(void)
{
	support_init();
	fake_proc_begin();
}

TestSuite(constraint, .init = init, .fini = fake_proc_end, .timeout = WATCHDOG_SECONDS);

static void expect_found(size_t bytes, enum constraint expected, const char *when)
{
	enum constraint found;

	errno = ERRNO_UNTOUCHED;
	found = constraint_find(bytes);
	cr_expect(found == expected, "%s: is %s, should be %s", when, constraint_name(found),
	          constraint_name(expected));
	cr_expect_eq(errno, ERRNO_UNTOUCHED, "%s: errno", when);
}

static void limit(__rlimit_resource_t resource, uint64_t bytes)
{
	const struct rlimit to = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};

	cr_assert_eq(setrlimit(resource, &to), 0);
}

static void write_statm(uint64_t total_bytes, uint64_t data_bytes)
{
	char text[128];

	snprintf(text, sizeof text, "%llu 1 1 1 0 %llu 0\n",
	         (unsigned long long)(total_bytes / PAGE), (unsigned long long)(data_bytes / PAGE));
	fake_proc_write("/proc/self/statm", text);
}

static void write_number(const char *path, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof text, "%llu\n", (unsigned long long)number);
	fake_proc_write(path, text);
}

Test(constraint, none)
{
	expect_found(1000, CONSTRAINT_NONE, "nothing is known, nothing is limited");
	write_statm(1 << 30, 1 << 30);
	expect_found(SIZE_MAX, CONSTRAINT_NONE, "no limit");
}

Test(constraint, rlimit_as)
{
	const size_t bytes = 64 * PAGE;

	limit(RLIMIT_AS, FAR);
	write_statm(FAR - ASKED_FOR(bytes), 0);
	expect_found(bytes, CONSTRAINT_NONE, "just fits");
	expect_found(bytes + 4, CONSTRAINT_RLIMIT_AS, "just does not");
	expect_found(SIZE_MAX, CONSTRAINT_RLIMIT_AS, "a sum that would wrap");
}

Test(constraint, rlimit_data)
{
	const size_t bytes = 64 * PAGE;

	limit(RLIMIT_DATA, FAR);
	write_statm(2 * FAR, FAR - ASKED_FOR(bytes));
	expect_found(bytes, CONSTRAINT_NONE, "just fits");
	expect_found(bytes + 4, CONSTRAINT_RLIMIT_DATA, "just does not");
}

Test(constraint, rlimit_as_before_data)
{
	limit(RLIMIT_AS, FAR);
	limit(RLIMIT_DATA, FAR);
	write_statm(FAR, FAR);
	expect_found(1, CONSTRAINT_RLIMIT_AS, "both");
	oomreclaim_set_limit(1);
	write_statm(0, FAR);
	expect_found(1, CONSTRAINT_RLIMIT_DATA, "before the budget");
}

Test(constraint, a_limit_and_no_proc)
{
	limit(RLIMIT_AS, FAR);
	expect_found(1, CONSTRAINT_UNKNOWN, "no file");
	fake_proc_write("/proc/self/statm", "");
	expect_found(1, CONSTRAINT_UNKNOWN, "empty");
	fake_proc_write("/proc/self/statm", "12 garbage");
	expect_found(1, CONSTRAINT_UNKNOWN, "garbage");
	fake_proc_write("/proc/self/statm", "1 1 1 1 1\n");
	expect_found(1, CONSTRAINT_UNKNOWN, "too few");
	fake_proc_write("/proc/self/statm", "99999999999999999999 1 1 1 0 1 0\n");
	expect_found(1, CONSTRAINT_UNKNOWN, "too large");
}

Test(constraint, budget)
{
	const size_t bytes = MIB;

	oomreclaim_set_limit(1024 * MIB);
	cr_assert(budget_take(1024 * MIB - ASKED_FOR(bytes)));
	expect_found(bytes, CONSTRAINT_NONE, "just fits");
	expect_found(bytes + 1, CONSTRAINT_BUDGET, "just does not");
	limit(RLIMIT_AS, FAR);
	expect_found(bytes + 1, CONSTRAINT_BUDGET, "known, where the other is not");
	write_statm(FAR, 0);
	expect_found(bytes + 1, CONSTRAINT_RLIMIT_AS, "rlimits first");
	expect_found(ASKED_FOR(bytes), CONSTRAINT_RLIMIT_AS, "it may just fit");
	expect_found(ASKED_FOR(bytes) + 1, CONSTRAINT_BUDGET, "what is certain before that");
}

Test(constraint, max_map_count)
{
	write_number("/proc/sys/vm/max_map_count", 5);
	fake_proc_write("/proc/self/maps", "1\n2\n");
	expect_found(1, CONSTRAINT_NONE, "room for two more, and one");
	fake_proc_write("/proc/self/maps", "1\n2\n3\n");
	expect_found(1, CONSTRAINT_MAX_MAP_COUNT, "two more");
	fake_proc_write("/proc/sys/vm/max_map_count", "garbage\n");
	expect_found(1, CONSTRAINT_NONE, "garbage");
}

/* ---- Groups ---- */

static void join_group(void)
{
	fake_proc_write("/proc/self/mountinfo", "29 1 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
	fake_proc_write("/proc/self/cgroup", "0::/upper/own\n");
	fake_proc_write("/cg/upper/own/memory.max", "max\n");
	write_number("/cg/upper/own/memory.current", 100 * MIB);
	fake_proc_write("/cg/upper/memory.max", "max\n");
	write_number("/cg/upper/memory.current", 200 * MIB);
}

Test(constraint, cgroup)
{
	const size_t bytes = MIB;

	join_group();
	expect_found(bytes, CONSTRAINT_NONE, "no limit");
	write_number("/cg/upper/own/memory.max", 100 * MIB + ASKED_FOR(bytes));
	expect_found(bytes, CONSTRAINT_NONE, "just fits");
	expect_found(bytes + 1, CONSTRAINT_CGROUP, "just does not");
	write_number("/proc/sys/vm/max_map_count", 1);
	expect_found(bytes + 1, CONSTRAINT_MAX_MAP_COUNT, "mappings first");
}

Test(constraint, cgroup_of_an_ancestor)
{
	join_group();
	write_number("/cg/upper/memory.max", 200 * MIB + ASKED_FOR(MIB));
	expect_found(MIB, CONSTRAINT_NONE, "just fits");
	expect_found(MIB + 1, CONSTRAINT_CGROUP, "just does not");
}

Test(constraint, cgroup_less_the_page_cache)
{
	join_group();
	write_number("/cg/upper/own/memory.max", 100 * MIB);
	fake_proc_write("/cg/upper/own/memory.stat", "anon 1\ninactive_file 10485760\n");
	expect_found(MIB, CONSTRAINT_NONE, "10 MiB can be dropped");
	expect_found(10 * MIB, CONSTRAINT_CGROUP, "but no more");
}

/* ---- Overcommit ---- */

static void write_commit(unsigned long long limit_kib, unsigned long long committed_kib)
{
	char text[128];

	snprintf(text, sizeof text, "MemTotal: 1 kB\nCommitLimit: %llu kB\nCommitted_AS: %llu kB\n",
	         limit_kib, committed_kib);
	fake_proc_write("/proc/meminfo", text);
}

Test(constraint, overcommit)
{
	write_commit(10240, 10240 - 5120 - 1024);
	fake_proc_write("/proc/sys/vm/overcommit_memory", "2\n");
	expect_found(MIB, CONSTRAINT_NONE, "5.25 MiB of 6");
	write_commit(10240, 10240 - 5120);
	expect_found(MIB, CONSTRAINT_OVERCOMMIT, "5.25 MiB of 5");
	fake_proc_write("/proc/sys/vm/overcommit_memory", "0\n");
	expect_found(MIB, CONSTRAINT_NONE, "not counted");
	fake_proc_write("/proc/sys/vm/overcommit_memory", "1\n");
	expect_found(MIB, CONSTRAINT_NONE, "not counted");
	fake_proc_write("/proc/sys/vm/overcommit_memory", "2\n");
	fake_proc_write("/proc/meminfo", "CommitLimit: 1 kB\n");
	expect_found(MIB, CONSTRAINT_NONE, "not known");
}

/* ---- The rest ---- */

Test(constraint, max_bytes_is_the_lowest_limit)
{
	cr_expect_eq(constraint_max_bytes(), SIZE_MAX);
	limit(RLIMIT_AS, FAR);
	cr_expect_eq(constraint_max_bytes(), FAR);
	limit(RLIMIT_DATA, FAR - 1);
	cr_expect_eq(constraint_max_bytes(), FAR - 1);
	oomreclaim_set_limit(FAR - 2);
	cr_expect_eq(constraint_max_bytes(), FAR - 2);
	limit(RLIMIT_AS, FAR - 3);
	cr_expect_eq(constraint_max_bytes(), FAR - 3);
}

static void expect_impossible(size_t bytes, enum constraint expected, const char *when)
{
	enum constraint found = constraint_of_impossible(bytes, true);

	cr_expect(found == expected, "%s: is %s, should be %s", when, constraint_name(found),
	          constraint_name(expected));
}

Test(constraint, of_the_impossible_it_is_the_lowest)
{
	expect_impossible(SIZE_MAX, CONSTRAINT_NONE, "there is no limit");
	limit(RLIMIT_AS, FAR);
	expect_impossible(FAR, CONSTRAINT_NONE, "as much as RLIMIT_AS");
	expect_impossible(FAR + 1, CONSTRAINT_RLIMIT_AS, "above RLIMIT_AS");
	limit(RLIMIT_DATA, FAR - 1);
	expect_impossible(FAR + 1, CONSTRAINT_RLIMIT_DATA, "above both");
	oomreclaim_set_limit(64 * MIB);
	expect_impossible(64 * MIB, CONSTRAINT_NONE, "as much as the budget");
	expect_impossible(64 * MIB + 1, CONSTRAINT_BUDGET, "above the budget");
	expect_impossible(FAR + 1, CONSTRAINT_BUDGET, "above all of them");
}

/* Without a question: the hard limits, which nobody raises, as they were. */
Test(constraint, known_max_bytes)
{
	const struct rlimit hard = {FAR - 5, FAR - 4};

	cr_expect_eq(constraint_init(), SIZE_MAX);
	cr_expect_eq(constraint_known_max_bytes(), SIZE_MAX);
	oomreclaim_set_limit(FAR);
	cr_expect_eq(constraint_known_max_bytes(), FAR);
	cr_assert_eq(setrlimit(RLIMIT_DATA, &hard), 0);
	cr_expect_eq(constraint_known_max_bytes(), FAR);
	cr_expect_eq(constraint_init(), FAR - 5);
	cr_expect_eq(constraint_known_max_bytes(), FAR - 4);
}

static const struct {
	enum constraint constraint;
	const char *name;
	bool is_per_process;
} rows[] = {
	{CONSTRAINT_UNKNOWN, "UNKNOWN", false},
	{CONSTRAINT_NONE, "NONE", false},
	{CONSTRAINT_RLIMIT_AS, "RLIMIT_AS", true},
	{CONSTRAINT_RLIMIT_DATA, "RLIMIT_DATA", true},
	{CONSTRAINT_MAX_MAP_COUNT, "MAX_MAP_COUNT", true},
	{CONSTRAINT_BUDGET, "BUDGET", true},
	{CONSTRAINT_CGROUP, "CGROUP", false},
	{CONSTRAINT_OVERCOMMIT, "OVERCOMMIT", false},
	{CONSTRAINT_GROUP, "GROUP", true},
	{CONSTRAINT_TOTAL, "TOTAL", false},
	{CONSTRAINTS, "UNKNOWN", false},
};

Test(constraint, names_and_kinds)
{
	cr_expect_eq(ARRAY_SIZE(rows), CONSTRAINTS + 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cr_expect_str_eq(constraint_name(rows[i].constraint), rows[i].name);
		cr_expect_eq(constraint_is_per_process(rows[i].constraint), rows[i].is_per_process,
		             "%s", rows[i].name);
	}
}
