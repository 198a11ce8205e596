/* SPDX-License-Identifier: BSD-2-Clause */
/* This process and the machine, over a /proc that a test makes up. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "support.h"
#include "system/proc.h"

static void init(void)
{
	support_init();
	fake_proc_begin();
	errno = ERRNO_UNTOUCHED;
}

static void fini(void)
{
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	fake_proc_end();
}

TestSuite(proc, .init = init, .fini = fini, .timeout = WATCHDOG_SECONDS);

/* Making files is none of what must leave errno alone. */
static void write_file(const char *path, const char *text)
{
	fake_proc_write(path, text);
	errno = ERRNO_UNTOUCHED;
}

/* ---- Numbers ---- */

static const struct {
	const char *text;
	bool is_number;
	uint64_t number;
	const char *rest;
} texts[] = {
	{"0", true, 0, ""},
	{"12 34", true, 12, " 34"},
	{"  \t 7kB", true, 7, "kB"},
	{"18446744073709551615", true, UINT64_MAX, ""},
	{"18446744073709551616", false, 0, ""},
	{"99999999999999999999999", false, 0, ""},
	{"", false, 0, ""},
	{" ", false, 0, ""},
	{"-1", false, 0, ""},
	{"+1", false, 0, ""},
	{"x", false, 0, ""},
	{"\n1", false, 0, ""},
};

Test(proc, parse_number)
{
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *at = texts[i].text;
		uint64_t number = 4711;

		cr_expect_eq(proc_parse_number(&at, &number), texts[i].is_number, "\"%s\"",
		             texts[i].text);
		if (texts[i].is_number) {
			cr_expect_eq(number, texts[i].number, "\"%s\"", texts[i].text);
			cr_expect_str_eq(at, texts[i].rest);
		} else {
			cr_expect_eq(number, 4711, "\"%s\": changed", texts[i].text);
			cr_expect_eq(at, texts[i].text, "\"%s\": moved", texts[i].text);
		}
	}
}

/* ---- This process ---- */

Test(proc, statm)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct proc_statm statm;

	write_file("/proc/self/statm", "1000 200 30 4 0 500 0\n");
	cr_assert(proc_statm(&statm));
	cr_expect_eq(statm.total_bytes, 1000 * page);
	cr_expect_eq(statm.resident_bytes, 200 * page);
	cr_expect_eq(statm.anon_bytes, 170 * page);
	cr_expect_eq(statm.data_bytes, 500 * page);
}

Test(proc, statm_missing_or_garbage)
{
	const char *const wrong[] = {"",
	                             "\n",
	                             "x",
	                             "1 2 3 4 5\n",
	                             "1 2 3 4 5 x\n",
	                             "-1 2 3 4 5 6 7\n",
	                             "1 2 99999999999999999999 4 5 6 7\n"};
	struct proc_statm statm = {.total_bytes = 4711};
	char longer[512];

	cr_expect_not(proc_statm(&statm));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		write_file("/proc/self/statm", wrong[i]);
		cr_expect_not(proc_statm(&statm), "\"%s\"", wrong[i]);
	}
	memset(longer, '1', sizeof longer);
	longer[sizeof longer - 1] = '\0';
	write_file("/proc/self/statm", longer);
	cr_expect_not(proc_statm(&statm));
	cr_expect_eq(statm.total_bytes, 4711);
}

Test(proc, threads)
{
	cr_expect_eq(proc_threads(), 0, "unknown");
	fake_proc_mkdir("/proc/self/task");
	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(proc_threads(), 0, "none");
	fake_proc_mkdir("/proc/self/task/1");
	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(proc_threads(), 1);
	fake_proc_mkdir("/proc/self/task/2");
	fake_proc_mkdir("/proc/self/task/3");
	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(proc_threads(), 3);
}

Test(proc, map_count)
{
	cr_expect_eq(proc_map_count(), 0);
	write_file("/proc/self/maps", "");
	cr_expect_eq(proc_map_count(), 0);
	write_file("/proc/self/maps", "a\nb\nc\n");
	cr_expect_eq(proc_map_count(), 3);
}

static void expect_name(const char *expected)
{
	char name[PROC_NAME_MAX + 1];

	memset(name, 'x', sizeof name);
	proc_name(name);
	cr_expect_str_eq(name, expected);
	cr_expect_eq(name[PROC_NAME_MAX], 'x', "written behind the end");
}

Test(proc, name)
{
	expect_name("?");
	write_file("/proc/self/comm", "");
	expect_name("?");
	write_file("/proc/self/comm", "\n");
	expect_name("?");
	write_file("/proc/self/comm", "sh\n");
	expect_name("sh");
	write_file("/proc/self/comm", "123456789012345\n");
	expect_name("123456789012345");
	write_file("/proc/self/comm", "12345678901234567890\n");
	expect_name("123456789012345");
}

/* ---- The machine ---- */

Test(proc, meminfo)
{
	uint64_t bytes = 4711;

	cr_expect_not(proc_meminfo("MemTotal", &bytes), "no file");
	write_file("/proc/meminfo",
	           "MemTotalX:     1 kB\nMemTotal:    123 kB\nMemFree: garbage\nSwapTotal:\n"
	           "CommitLimit: 9\n");
	cr_expect_not(proc_meminfo("MemFree", &bytes), "garbage");
	cr_expect_not(proc_meminfo("SwapTotal", &bytes), "empty");
	cr_expect_not(proc_meminfo("Mem", &bytes), "the beginning of a name");
	cr_expect_not(proc_meminfo("Nothing", &bytes), "missing");
	cr_expect_eq(bytes, 4711, "changed");
	cr_assert(proc_meminfo("MemTotal", &bytes));
	cr_expect_eq(bytes, 123 * 1024);
	cr_assert(proc_meminfo("CommitLimit", &bytes));
	cr_expect_eq(bytes, 9 * 1024);
}

Test(proc, read_number)
{
	const char *const wrong[] = {"", "\n", "x\n", "12x\n", "1 2\n", "-1\n"};
	uint64_t number = 4711;

	cr_expect_not(proc_read_number("/proc/sys/vm/file", &number), "no file");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		write_file("/proc/sys/vm/file", wrong[i]);
		cr_expect_not(proc_read_number("/proc/sys/vm/file", &number), "\"%s\"", wrong[i]);
		cr_expect_eq(number, 4711, "\"%s\": changed", wrong[i]);
	}
	write_file("/proc/sys/vm/file", "65530\n");
	cr_assert(proc_read_number("/proc/sys/vm/file", &number));
	cr_expect_eq(number, 65530);
	write_file("/proc/sys/vm/file", "2");
	cr_assert(proc_read_number("/proc/sys/vm/file", &number));
	cr_expect_eq(number, 2);
}

Test(proc, the_real_one)
{
	char name[PROC_NAME_MAX];
	struct proc_statm statm;
	uint64_t bytes;

	proc_root = "";
	cr_expect(proc_statm(&statm));
	cr_expect_gt(statm.total_bytes, statm.resident_bytes);
	cr_expect_geq(proc_threads(), 1);
	cr_expect_gt(proc_map_count(), 5);
	proc_name(name);
	cr_expect_str_neq(name, "?");
	cr_expect(proc_meminfo("MemTotal", &bytes));
	cr_expect_gt(bytes, 1 << 20);
	cr_expect(proc_read_number("/proc/sys/vm/overcommit_memory", &bytes));
	cr_expect_leq(bytes, 2);
}
