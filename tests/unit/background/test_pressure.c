/* SPDX-License-Identifier: BSD-2-Clause */
/* Where pressure is read from, and how it is asked for. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "background/pressure.h"
#include "base/base.h"
#include "config/options.h"
#include "forbid.h"
#include "support.h"

#define TRIGGER "some 200000 2000000" /* what PSI is told, with its NUL */

static const char *path;

static void init(void)
{
	support_init();
	unsetenv("MEMORY_PRESSURE_WATCH");
	unsetenv("MEMORY_PRESSURE_WRITE");
	fake_proc_begin();
}

TestSuite(pressure, .init = init, .fini = fake_proc_end, .timeout = WATCHDOG_SECONDS);

static int open_source(void)
{
	pressure_init();
	return pressure_open(&path);
}

static void set(const char *name)
{
	char conf[512];

	snprintf(conf, sizeof conf, "pressure:%s", name);
	cr_assert_eq(options_apply("test", conf, &options, NULL), 0, "%s", conf);
}

static const char *full(const char *name)
{
	static char text[1024];

	fake_proc_path(text, sizeof text, name);
	return text;
}

/* The setting names a file below the test's own root. */
static void set_file(const char *name)
{
	set(full(name));
}

static void expect_content(const char *name, const char *expected, size_t bytes)
{
	char text[256] = "";
	FILE *file = fopen(full(name), "re");

	cr_assert(file != NULL, "%s", name);
	cr_expect_eq(fread(text, 1, sizeof text, file), bytes, "%s", name);
	cr_expect_arr_eq(text, expected, bytes, "%s", name);
	fclose(file);
}

Test(pressure, off)
{
	cr_expect_not(pressure_is_wanted());
	cr_expect_eq(pressure_fd(), -1);
	set("auto");
	cr_expect(pressure_is_wanted());
}

/* ---- A FIFO ---- */

static void open_fifo(void)
{
	cr_assert_eq(mkfifo(full("/fifo"), 0600), 0);
	set_file("/fifo");
	cr_assert_eq(open_source(), 0);
}

static void send_to_fifo(size_t bytes)
{
	static const char text[1024] = "x";
	int fd = open(full("/fifo"), O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, bytes), (ssize_t)bytes);
	close(fd);
}

static short ready(void)
{
	struct pollfd fd = {.fd = pressure_fd(), .events = pressure_events()};

	cr_assert_geq(poll(&fd, 1, 0), 0);
	return fd.revents;
}

Test(pressure, fifo)
{
	open_fifo();
	cr_expect_str_eq(path, full("/fifo"));
	cr_expect_eq(pressure_events(), POLLIN);
	cr_expect_eq(ready(), 0);
	/* More than one read takes, and its writer leaves. */
	for (int i = 0; i < 2; i++) {
		send_to_fifo(1024);
		cr_expect_eq(ready(), POLLIN);
		cr_expect_eq(pressure_take(POLLIN), PRESSURE_FELT);
		cr_expect_eq(ready(), 0, "all taken");
	}
	/* Somebody else was faster. */
	cr_expect_eq(pressure_take(POLLIN), PRESSURE_FELT);
}

/* Another user's FIFO, for us to read. */
Test(pressure, fifo_that_may_only_be_read)
{
	int writer;

	cr_assert_eq(mkfifo(full("/fifo"), 0600), 0);
	writer = open(full("/fifo"), O_RDWR | O_CLOEXEC);
	cr_assert_geq(writer, 0);
	cr_assert_eq(chmod(full("/fifo"), 0444), 0);
	cr_assert_eq(chmod(full(""), 0755), 0);
	set_file("/fifo");
	/* Root may all that there is. */
	cr_assert(geteuid() != 0 || seteuid(65534) == 0);
	cr_expect_eq(open_source(), 0);
	cr_expect_eq(ready(), 0);
	cr_assert_eq(write(writer, "x", 1), 1);
	cr_expect_eq(ready(), POLLIN);
	cr_expect_eq(pressure_take(POLLIN), PRESSURE_FELT);
	cr_expect_eq(ready(), 0);
	close(writer);
	cr_expect_eq(pressure_take(ready()), PRESSURE_GONE, "the last writer is gone");
	pressure_close();
	/* What is to be written there can't be. */
	setenv("MEMORY_PRESSURE_WATCH", path, 1);
	setenv("MEMORY_PRESSURE_WRITE", "YWJj", 1);
	set("auto");
	cr_expect_eq(open_source(), -EACCES);
	cr_assert(getuid() != 0 || seteuid(0) == 0);
}

Test(pressure, what_is_gone_is_of_no_use)
{
	open_fifo();
	send_to_fifo(1);
	cr_expect_eq(pressure_take(POLLERR), PRESSURE_GONE);
	cr_expect_eq(pressure_take(POLLNVAL | POLLIN), PRESSURE_GONE);
	pressure_close();
	cr_expect_eq(pressure_fd(), -1);
}

Test(pressure, closed_is_closed)
{
	int fd;

	open_fifo();
	fd = pressure_fd();
	pressure_close();
	pressure_close();
	cr_expect(fcntl(fd, F_GETFD) < 0 && errno == EBADF);
}

/* ---- A socket ---- */

static int listener;

static void listen_at(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	cr_assert_lt(strlen(full(name)), sizeof address.sun_path);
	strcpy(address.sun_path, full(name));
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	cr_assert_eq(listen(listener, 1), 0);
}

/* What systemd would see of a program that it started. */
static void expect_told(const char *encoded, const char *expected, size_t bytes)
{
	char text[512] = "";
	int fd;

	setenv("MEMORY_PRESSURE_WATCH", full("/socket"), 1);
	setenv("MEMORY_PRESSURE_WRITE", encoded, 1);
	set("auto");
	cr_assert_eq(open_source(), 0, "%s", encoded);
	fd = accept(listener, NULL, NULL);
	cr_assert_geq(fd, 0);
	if (bytes > 0)
		cr_expect_eq(recv(fd, text, sizeof text, MSG_DONTWAIT), (ssize_t)bytes, "%s",
		             encoded);
	else
		cr_expect(recv(fd, text, sizeof text, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	cr_expect_arr_eq(text, expected, bytes, "%s", encoded);
	cr_expect_eq(pressure_events(), POLLIN);
	/* The peer hangs up. */
	cr_expect_eq(ready(), 0);
	close(fd);
	cr_expect_eq(pressure_take(ready()), PRESSURE_GONE);
	pressure_close();
}

Test(pressure, socket)
{
	listen_at("/socket");
	expect_told("", "", 0);
	expect_told("YQ==", "a", 1);
	expect_told("YWI=", "ab", 2);
	expect_told("YWI", "ab", 2);
	expect_told("YWJj", "abc", 3);
	expect_told("c29tZSAyMDAwMDAgMjAwMDAwMAA=", TRIGGER, sizeof TRIGGER);
	expect_told("+/+/AH5a", "\xfb\xff\xbf\0\x7e\x5a", 6);
}

static bool peer_leaves;

/* In place of libc's, for the whole program: the peer leaves before anything is written. */
int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	long result = syscall(SYS_connect, fd, address, length);

	if (peer_leaves)
		close(listener);
	return (int)result;
}

Test(pressure, peer_leaves_before_it_is_told)
{
	listen_at("/socket");
	setenv("MEMORY_PRESSURE_WATCH", full("/socket"), 1);
	setenv("MEMORY_PRESSURE_WRITE", "YWJj", 1);
	set("auto");
	peer_leaves = true;
	/* No SIGPIPE, which would be the end. */
	cr_expect_eq(open_source(), -EPIPE);
	cr_expect_eq(pressure_fd(), -1);
}

Test(pressure, nobody_listens)
{
	listen_at("/socket");
	close(listener);
	set_file("/socket");
	cr_expect_eq(open_source(), -ECONNREFUSED);
	cr_expect_eq(pressure_fd(), -1);
}

/* ---- $MEMORY_PRESSURE_WATCH and _WRITE that are no good ---- */

static void expect_refused(const char *watch, const char *encoded, int error)
{
	setenv("MEMORY_PRESSURE_WATCH", watch, 1);
	if (encoded != NULL)
		setenv("MEMORY_PRESSURE_WRITE", encoded, 1);
	set("auto");
	cr_expect_eq(open_source(), error, "%s", encoded != NULL ? encoded : watch);
	cr_expect_eq(pressure_fd(), -1);
}

Test(pressure, a_socket_with_a_long_name)
{
	char directory[128], at[512], name[256];

	listen_at("/socket");
	strcpy(at, full("/socket"));
	snprintf(directory, sizeof directory, "/%0100d", 0);
	fake_proc_mkdir(directory);
	snprintf(name, sizeof name, "%s/socket", directory);
	cr_assert_eq(rename(at, full(name)), 0);
	expect_refused(full(name), NULL, -ENAMETOOLONG);
}

Test(pressure, no_sockets)
{
	listen_at("/socket");
	forbid_calls(EACCES, SYS_socket);
	expect_refused(full("/socket"), NULL, -EACCES);
}

Test(pressure, nothing_is_to_be_watched)
{
	expect_refused("/dev/null", NULL, -ENODEV);
}

Test(pressure, no_such_path)
{
	char longest[2048];

	memset(longest, '/', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	expect_refused("relative", NULL, -EINVAL);
	expect_refused("", NULL, -EINVAL);
	expect_refused(longest, NULL, -EINVAL);
	expect_refused("/nonexistent", NULL, -ENOENT);
	cr_expect_str_eq(path, "/nonexistent");
	expect_refused("/dev", NULL, -EINVAL);
}

/* A daemon that cleans its environment, and has a child. */
Test(pressure, the_environment_at_the_start)
{
	setenv("MEMORY_PRESSURE_WATCH", "/dev/null", 1);
	fake_proc_write("/proc/pressure/memory", "");
	set("auto");
	pressure_init();
	unsetenv("MEMORY_PRESSURE_WATCH");
	cr_expect_eq(pressure_open(&path), -ENODEV);
	cr_expect_eq(pressure_fd(), -1);
}

Test(pressure, no_base64)
{
	static char longest[1024];

	cr_assert_eq(mkfifo(full("/fifo"), 0600), 0);
	expect_refused(full("/fifo"), "YW!j", -EINVAL);
	expect_refused(full("/fifo"), "YQ==x", -EINVAL);
	/* A byte more than there is room for. */
	memset(longest, 'Y', 343);
	expect_refused(full("/fifo"), longest, -EINVAL);
	longest[342] = '\0';
	setenv("MEMORY_PRESSURE_WRITE", longest, 1);
	cr_expect_eq(open_source(), 0, "256 bytes fit");
}

/* ---- Files of the kernel ---- */

Test(pressure, psi_by_its_path)
{
	fake_proc_write("/psi", "");
	set_file("/psi");
	cr_assert_eq(open_source(), 0);
	expect_content("/psi", TRIGGER, sizeof TRIGGER);
	cr_expect_eq(pressure_events(), POLLPRI);
	/* Nothing is read from it. */
	cr_expect_eq(pressure_take(POLLPRI), PRESSURE_FELT);
	cr_expect_eq(pressure_take(POLLPRI | POLLERR), PRESSURE_GONE, "the group was removed");
}

/* In the kernel's form, in microseconds. */
static void set_stall(unsigned some, unsigned full_stop)
{
	char text[256];

	snprintf(text, sizeof text,
	         "some avg10=0.00 avg60=1.50 avg300=0.41 total=%u\n"
	         "full avg10=0.00 avg60=0.00 avg300=0.10 total=%u\n",
	         some, full_stop);
	fake_proc_write("/psi", text);
}

/* The kernel's first event may count all stall since boot. */
Test(pressure, psi_counts_from_its_beginning)
{
	set_stall(5000000, 4000000);
	set_file("/psi");
	cr_assert_eq(open_source(), 0);
	set_stall(5000000, 4000000);
	cr_expect_eq(pressure_take(POLLPRI), PRESSURE_NONE);
	set_stall(5199999, 4199999);
	cr_expect_eq(pressure_take(POLLPRI), PRESSURE_NONE);
	set_stall(5200000, 4000000);
	cr_expect_eq(pressure_take(POLLPRI), PRESSURE_FELT);
	/* And from each one that was believed. */
	set_stall(5399999, 9000000);
	cr_expect_eq(pressure_take(POLLPRI), PRESSURE_NONE);
	set_stall(5400000, 9000000);
	cr_expect_eq(pressure_take(POLLPRI), PRESSURE_FELT);
	/* What has no total is believed. */
	fake_proc_write("/psi", "some\n");
	cr_expect_eq(pressure_take(POLLPRI), PRESSURE_FELT);
}

/* systemd names the stall. */
Test(pressure, psi_is_asked_for_another_stall)
{
	set_stall(7, 100000);
	setenv("MEMORY_PRESSURE_WATCH", full("/psi"), 1);
	/* full 150000 2000000, with its NUL. */
	setenv("MEMORY_PRESSURE_WRITE", "ZnVsbCAxNTAwMDAgMjAwMDAwMAA=", 1);
	set("auto");
	cr_assert_eq(open_source(), 0);
	set_stall(9000000, 249999);
	cr_expect_eq(pressure_take(POLLPRI), PRESSURE_NONE);
	set_stall(9000000, 250000);
	cr_expect_eq(pressure_take(POLLPRI), PRESSURE_FELT);
}

Test(pressure, psi_is_asked_for_what_is_not_known)
{
	set_stall(0, 0);
	setenv("MEMORY_PRESSURE_WATCH", full("/psi"), 1);
	/* medium */
	setenv("MEMORY_PRESSURE_WRITE", "bWVkaXVt", 1);
	set("auto");
	cr_assert_eq(open_source(), 0);
	cr_expect_eq(pressure_take(POLLPRI), PRESSURE_FELT);
}

Test(pressure, no_such_psi)
{
	set_file("/psi");
	cr_expect_eq(open_source(), -ENOENT);
	cr_expect_str_eq(path, full("/psi"));
}

static void make_v2(void)
{
	fake_proc_write("/proc/self/mountinfo", "30 24 0:27 / /cg rw - cgroup2 cgroup2 rw\n");
	fake_proc_write("/proc/self/cgroup", "0::/own\n");
}

Test(pressure, auto_is_the_own_group)
{
	make_v2();
	fake_proc_write("/cg/own/memory.pressure", "");
	fake_proc_write("/proc/pressure/memory", "");
	set("auto");
	cr_assert_eq(open_source(), 0);
	cr_expect_str_eq(path, full("/cg/own/memory.pressure"));
	expect_content("/cg/own/memory.pressure", TRIGGER, sizeof TRIGGER);
	expect_content("/proc/pressure/memory", "", 0);
}

Test(pressure, auto_is_the_machine_where_there_is_no_group)
{
	make_v2();
	fake_proc_write("/proc/pressure/memory", "");
	set("auto");
	cr_assert_eq(open_source(), 0);
	cr_expect_str_eq(path, full("/proc/pressure/memory"));
	expect_content("/proc/pressure/memory", TRIGGER, sizeof TRIGGER);
}

Test(pressure, auto_finds_nothing)
{
	set("auto");
	cr_expect_eq(open_source(), -ENOENT);
	cr_expect_eq(pressure_fd(), -1);
}

/* ---- Version 1 ---- */

static void expect_level(void)
{
	char expected[64];
	struct stat file;
	uint64_t one = 1;
	int fd, level, found = 0;

	cr_assert_eq(open_source(), 0);
	cr_expect_str_eq(path, full("/cg/own/memory.pressure_level"));
	fd = pressure_fd();
	/* The descriptor of the level itself: the one that is open on that file. */
	cr_assert_eq(stat(full("/cg/own/memory.pressure_level"), &file), 0);
	for (level = 0; level < 1024; level++) {
		struct stat other;

		if (fstat(level, &other) == 0 && other.st_ino == file.st_ino &&
		    other.st_dev == file.st_dev) {
			found++;
			break;
		}
	}
	cr_assert_eq(found, 1);
	snprintf(expected, sizeof expected, "%d %d medium", fd, level);
	expect_content("/cg/own/cgroup.event_control", expected, strlen(expected));
	cr_expect_eq(pressure_events(), POLLIN);
	cr_expect_eq(ready(), 0);
	cr_assert_eq(write(fd, &one, sizeof one), sizeof one);
	cr_expect_eq(ready(), POLLIN);
	cr_expect_eq(pressure_take(POLLIN), PRESSURE_FELT);
	cr_expect_eq(ready(), 0);
	pressure_close();
	cr_expect(fcntl(level, F_GETFD) < 0);
	cr_expect(fcntl(fd, F_GETFD) < 0);
}

static void make_v1(void)
{
	fake_proc_write("/proc/self/mountinfo", "32 24 0:29 / /cg rw - cgroup cgroup rw,memory\n");
	fake_proc_write("/proc/self/cgroup", "5:memory:/own\n");
	fake_proc_write("/cg/own/memory.pressure_level", "");
	fake_proc_write("/cg/own/cgroup.event_control", "");
}

Test(pressure, auto_is_version_1s_level)
{
	make_v1();
	fake_proc_write("/proc/pressure/memory", "");
	set("auto");
	expect_level();
}

Test(pressure, version_1s_level_by_its_path)
{
	make_v1();
	set_file("/cg/own/memory.pressure_level");
	expect_level();
}

Test(pressure, a_level_without_its_control)
{
	make_v1();
	fake_proc_remove("/cg/own/cgroup.event_control");
	set_file("/cg/own/memory.pressure_level");
	cr_expect_eq(open_source(), -ENOENT);
	cr_expect_eq(pressure_fd(), -1);
}

Test(pressure, a_level_without_an_event)
{
	int before = lowest_free_fd();

	make_v1();
	set_file("/cg/own/memory.pressure_level");
	forbid_calls(EMFILE, SYS_eventfd2);
	cr_expect_eq(open_source(), -EMFILE);
	cr_expect_eq(pressure_fd(), -1);
	cr_expect_eq(lowest_free_fd(), before, "one left open");
}
