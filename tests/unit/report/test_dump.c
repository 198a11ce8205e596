/* SPDX-License-Identifier: BSD-2-Clause */
/* What the setting oom_dump leaves behind. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "config/options.h"
#include "forbid.h"
#include "report/dump.h"
#include "support.h"

static char stats_path[64], profile_path[64];

static void init(void)
{
	char conf[512] = "oom_dump:";

	support_init();
	fake_proc_begin();
	fake_proc_mkdir("/dump");
	fake_proc_path(conf + strlen(conf), sizeof conf - strlen(conf), "/dump");
	cr_assert_eq(options_apply("test", conf, &options, NULL), 0);
	snprintf(stats_path, sizeof stats_path, "/dump/oomreclaim.%d.stats.json", getpid());
	snprintf(profile_path, sizeof profile_path, "/dump/oomreclaim.%d.heap", getpid());
}

TestSuite(dump, .init = init, .fini = fake_proc_end, .timeout = WATCHDOG_SECONDS);

static bool is_there(const char *path)
{
	char full[1024];

	fake_proc_path(full, sizeof full, path);
	return access(full, F_OK) == 0;
}

static void expect_text(const char *path, const char *expected)
{
	char full[1024], text[256];
	size_t bytes;
	FILE *file;

	fake_proc_path(full, sizeof full, path);
	file = fopen(full, "re");
	cr_assert(file != NULL, "%s", path);
	bytes = fread(text, 1, sizeof text - 1, file);
	text[bytes] = '\0';
	fclose(file);
	cr_expect_str_eq(text, expected);
}

Test(dump, both_files)
{
	char full[1024];
	struct stat file;

	errno = ERRNO_UNTOUCHED;
	dump_write();
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	expect_text(stats_path, "{\"fake\":true}\n");
	expect_text(profile_path, "heap_v2/524288\n");
	fake_proc_path(full, sizeof full, stats_path);
	cr_assert_eq(stat(full, &file), 0);
	cr_expect_eq(file.st_mode & 07777, 0600, "nobody else's business");
}

Test(dump, once)
{
	dump_write();
	fake_proc_remove(stats_path);
	dump_write();
	cr_expect_not(is_there(stats_path));
}

static const char *refusal_path(unsigned number)
{
	static char text[64];

	snprintf(text, sizeof text, "/dump/oomreclaim.%d.refused.%u.heap", getpid(), number);
	return text;
}

/* Three, a minute apart; and the end's is one of its own. */
Test(dump, refusals)
{
	fake_clock_freeze();
	for (unsigned number = 1; number <= 3; number++) {
		dump_write_refusal();
		cr_expect(is_there(refusal_path(number)));
		fake_clock_advance(60 * NSEC_PER_SEC - 1);
		dump_write_refusal();
		cr_expect_not(is_there(refusal_path(number + 1)), "too soon");
		fake_clock_advance(1);
	}
	dump_write_refusal();
	cr_expect_not(is_there(refusal_path(4)), "enough");
	cr_expect_not(is_there(profile_path));
	dump_write();
	cr_expect(is_there(profile_path));
	cr_expect(is_there(stats_path));
}

static bool has_dumped(const char *kind, unsigned number)
{
	char path[64];

	snprintf(path, sizeof path, "/dump/oomreclaim.%d.%s.%u.stats.json", getpid(), kind, number);
	return is_there(path);
}

/* As refusals, but counted by itself; and where the setting says so alone. */
Test(dump, at_high)
{
	fake_clock_freeze();
	dump_write_high();
	cr_expect_not(has_dumped("high", 1));
	options.is_dump_high = true;
	dump_write_refusal();
	for (unsigned number = 1; number <= 3; number++) {
		dump_write_high();
		cr_expect(has_dumped("high", number));
		dump_write_high();
		cr_expect_not(has_dumped("high", number + 1), "too soon");
		fake_clock_advance(60 * NSEC_PER_SEC);
	}
	dump_write_high();
	cr_expect_not(has_dumped("high", 4), "enough");
	cr_expect_not(has_dumped("refused", 2));
}

Test(dump, asked_for)
{
	char path[DUMP_PATH_MAX];

	for (unsigned number = 1; number <= 5; number++) {
		cr_expect_eq(dump_write_asked(path), 0);
		cr_expect(has_dumped("asked", number));
	}
	cr_expect(strstr(path, ".asked.5.stats.json") != NULL);
	options.dump_path[0] = '\0';
	cr_expect_eq(dump_write_asked(path), -ENOTSUP);
	strcpy(options.dump_path, "/nonexistent");
	cr_expect_eq(dump_write_asked(path), -ENOENT);
}

Test(dump, refusals_of_those_who_ask_for_none)
{
	options.dump_max_bytes = 0;
	dump_write_refusal();
	cr_expect_not(is_there(refusal_path(1)));
}

static void refuse_in_child(void)
{
	dump_write_refusal();
	_exit(is_there(refusal_path(1)) ? 0 : 1);
}

Test(dump, a_child_has_refusals_of_its_own)
{
	fake_clock_freeze();
	dump_write_refusal();
	cr_expect_eq(run_child(refuse_in_child), 0);
}

static void dump_in_child(void)
{
	char path[64];

	dump_write();
	snprintf(path, sizeof path, "/dump/oomreclaim.%d.stats.json", getpid());
	_exit(is_there(path) ? 0 : 1);
}

Test(dump, a_child_is_another_process)
{
	dump_write();
	cr_expect_eq(run_child(dump_in_child), 0);
}

Test(dump, not_without_a_directory)
{
	options.dump_path[0] = '\0';
	dump_write();
	/* Nor has it been counted as written. */
	options_load(NULL);
	init();
	dump_write();
	cr_expect(is_there(stats_path));
}

Test(dump, not_where_nothing_may_be_written)
{
	options.dump_max_bytes = 0;
	dump_write();
	cr_expect_not(is_there(stats_path));
	cr_expect_not(is_there(profile_path));
}

Test(dump, no_such_directory)
{
	fake_proc_remove("/dump");
	errno = ERRNO_UNTOUCHED;
	dump_write();
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_not(is_there("/dump"));
}

Test(dump, nobodys_file_is_written_over)
{
	fake_proc_write(stats_path, "mine");
	fake_proc_write(profile_path, "mine too");
	dump_write();
	expect_text(stats_path, "mine");
	expect_text(profile_path, "mine too");
}

Test(dump, nobodys_link_is_followed)
{
	char full[1024];

	/* To where nothing is, as who plants such a link would have it. */
	fake_proc_path(full, sizeof full, stats_path);
	cr_assert_eq(symlink("stolen", full), 0);
	fake_proc_path(full, sizeof full, profile_path);
	cr_assert_eq(symlink("stolen", full), 0);
	dump_write();
	cr_expect_not(is_there("/dump/stolen"));
}

Test(dump, to_the_byte)
{
	options.dump_max_bytes = 14;
	dump_write();
	expect_text(stats_path, "{\"fake\":true}\n");
	expect_text(profile_path, "heap_v2/524288");
}

/* Whole pieces, and nothing behind one that is missing. */
Test(dump, cut_off)
{
	options.dump_max_bytes = 13;
	dump_write();
	expect_text(stats_path, "{\"fake\":");
	expect_text(profile_path, "heap_v2/52428");
}

Test(dump, cut_off_at_the_first_piece)
{
	options.dump_max_bytes = 7;
	dump_write();
	expect_text(stats_path, "");
	expect_text(profile_path, "heap_v2");
}

/* A full disk, say: what does not fit is not tried again and again. */
Test(dump, no_room)
{
	const struct rlimit none = {0, RLIM_INFINITY}, any = {RLIM_INFINITY, RLIM_INFINITY};

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	errno = ERRNO_UNTOUCHED;
	dump_write();
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &any), 0);
	expect_text(stats_path, "");
}

Test(dump, a_directory_that_can_not_be_written_to)
{
	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(dump_check(), 0);
	strcpy(options.dump_path, "/nonexistent");
	cr_expect_eq(dump_check(), -ENOENT);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
}

/* More than may be kept is not kept at all where it can't be cut off. */
Test(dump, not_to_be_cut_off)
{
	options.dump_max_bytes = 13;
	forbid_calls(EPERM, SYS_ftruncate);
	dump_write();
	expect_text(stats_path, "{\"fake\":");
	cr_expect_not(is_there(profile_path));
}
