/* SPDX-License-Identifier: BSD-2-Clause */
/* The file of the setting `log`, where others may have put something in its place. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io_read.h"
#include "config/options.h"
#include "report/log.h"
#include "support.h"

/* Another user, whom a test that runs as root can act as. */
#define OTHER 65534

static char other_path[1024];

static void init(void)
{
	char path[1024];

	support_init();
	fake_proc_begin();
	fake_proc_mkdir("/shared");
	fake_proc_path(options.log_path, sizeof options.log_path, "/shared/log");
	fake_proc_path(other_path, sizeof other_path, "/other");
	/* Another user may pass. */
	fake_proc_path(path, sizeof path, "");
	cr_assert_eq(chmod(path, 0755), 0);
}

TestSuite(log, .init = init, .fini = fake_proc_end, .timeout = WATCHDOG_SECONDS);

static void share_directory(void)
{
	char path[1024];

	fake_proc_path(path, sizeof path, "/shared");
	cr_assert_eq(chmod(path, 0777), 0);
}

static void expect(int error)
{
	int lowest = lowest_free_fd();

	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(log_check(), error, "checked: %d", log_check());
	cr_expect_eq(log_write("text", 4), error);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_eq(lowest_free_fd(), lowest, "left open");
}

static void expect_text(const char *path, const char *expected)
{
	char text[64];

	cr_expect_geq(io_read_file(path, text, sizeof text), 0);
	cr_expect_str_eq(text, expected);
}

Test(log, a_new_one)
{
	struct stat file;

	cr_expect_eq(log_check(), 0);
	cr_expect_neq(access(options.log_path, F_OK), 0, "to look makes nothing");
	expect(0);
	expect(0);
	expect_text(options.log_path, "texttext");
	cr_assert_eq(stat(options.log_path, &file), 0);
	cr_expect_eq(file.st_mode & 07777, 0600);
}

Test(log, in_a_shared_directory)
{
	share_directory();
	expect(0);
	expect(0);
	expect_text(options.log_path, "texttext");
}

Test(log, no_link_is_followed)
{
	fake_proc_write("/other", "theirs");
	cr_assert_eq(symlink(other_path, options.log_path), 0);
	expect(-ELOOP);
	expect_text(other_path, "theirs");
}

Test(log, no_link_to_nothing_is_followed)
{
	cr_assert_eq(symlink(other_path, options.log_path), 0);
	expect(-ELOOP);
	cr_expect_neq(access(other_path, F_OK), 0);
}

Test(log, a_second_name)
{
	fake_proc_write("/other", "theirs");
	cr_assert_eq(link(other_path, options.log_path), 0);
	share_directory();
	expect(-EPERM);
	expect_text(other_path, "theirs");
}

/* One's own directory is one's own business. */
Test(log, a_second_name_in_a_private_directory)
{
	fake_proc_write("/other", "mine");
	cr_assert_eq(link(other_path, options.log_path), 0);
	expect(0);
	expect_text(other_path, "minetext");
}

Test(log, somebody_elses_file)
{
	if (geteuid() != 0)
		cr_skip_test("nobody can be given a file");
	fake_proc_write("/shared/log", "theirs");
	share_directory();
	cr_assert_eq(chown(options.log_path, OTHER, OTHER), 0);
	expect(-EPERM);
	expect_text(options.log_path, "theirs");
}

Test(log, somebody_elses_directory)
{
	char path[1024];

	if (geteuid() != 0)
		cr_skip_test("nobody can be given a directory");
	fake_proc_write("/shared/log", "theirs");
	fake_proc_path(path, sizeof path, "/shared");
	cr_assert_eq(chown(path, OTHER, OTHER), 0);
	cr_assert_eq(chown(options.log_path, OTHER, OTHER), 0);
	expect(-EPERM);
	expect_text(options.log_path, "theirs");
}

/* Given for this user by root, as logrotate does. */
Test(log, a_file_of_roots)
{
	if (geteuid() != 0)
		cr_skip_test("there is no file of root's to write");
	fake_proc_write("/shared/log", "");
	share_directory();
	cr_assert_eq(chmod(options.log_path, 0666), 0);
	cr_assert_eq(seteuid(OTHER), 0);
	expect(0);
	cr_assert_eq(seteuid(0), 0);
	expect_text(options.log_path, "text");
}

Test(log, nobody_reads_a_fifo)
{
	cr_assert_eq(mkfifo(options.log_path, 0600), 0);
	cr_expect_eq(log_write("text", 4), -ENXIO);
	cr_expect_eq(log_check(), 0, "a reader may come");
}

Test(log, somebody_reads_a_fifo)
{
	char got[8] = "";
	int fd;

	cr_assert_eq(mkfifo(options.log_path, 0600), 0);
	fd = open(options.log_path, O_RDONLY | O_NONBLOCK);
	cr_expect_eq(log_write("text", 4), 0);
	cr_expect_eq(read(fd, got, sizeof got), 4);
	cr_expect_str_eq(got, "text");
}

Test(log, what_is_no_file)
{
	cr_assert_eq(mkdir(options.log_path, 0700), 0);
	expect(-EISDIR);
	strcpy(options.log_path, "/nonexistent/log");
	expect(-ENOENT);
	strcpy(options.log_path, "/dev/null/log");
	expect(-ENOTDIR);
}

Test(log, what_may_not_be_written)
{
	if (geteuid() != 0)
		cr_skip_test("files of another user are needed");
	fake_proc_write("/shared/log", "");
	cr_assert_eq(chmod(options.log_path, 0444), 0);
	share_directory();
	cr_assert_eq(seteuid(OTHER), 0);
	expect(-EACCES);
	cr_assert_eq(seteuid(0), 0);
}

Test(log, a_directory_that_may_not_be_written)
{
	char path[1024];

	if (geteuid() != 0)
		cr_skip_test("a directory of another user is needed");
	fake_proc_path(path, sizeof path, "/shared");
	cr_assert_eq(chmod(path, 0755), 0);
	cr_assert_eq(seteuid(OTHER), 0);
	expect(-EACCES);
	cr_assert_eq(seteuid(0), 0);
}

Test(log, a_name_alone)
{
	char path[1024];

	fake_proc_path(path, sizeof path, "/shared");
	cr_assert_eq(chdir(path), 0);
	strcpy(options.log_path, "log");
	expect(0);
	expect_text("log", "text");
}
