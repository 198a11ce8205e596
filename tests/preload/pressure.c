/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reports of memory pressure. Each case starts this program again with a source that it has made,
 * and writes to that; the case `wait` is what is started.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim.h"

static atomic_int calls;
static char path[64];

static size_t count(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	CHECK_EQ(control->reason, OOMRECLAIM_REASON_PRESSURE);
	CHECK(!control->is_direct && control->bytes_wanted >= MIB);
	calls++;
	return 0;
}

static void wait_for_event(void)
{
	CHECK_EQ(oomreclaim_register("count", 0, 0, count, NULL, NULL), 0);
	/* Ready: the other side may write. */
	CHECK(write(STDOUT_FILENO, "r", 1) == 1);
	while (calls == 0)
		usleep(1000);
}

/* Starts `wait` with the setting, and waits until it is ready. */
static pid_t start(const char *setting, const char *watch, const char *written)
{
	int ready[2];
	char byte;
	pid_t pid;

	CHECK(pipe(ready) == 0);
	pid = fork();
	if (!pid) {
		setenv("OOMRECLAIM_CONF", setting, 1);
		if (watch)
			setenv("MEMORY_PRESSURE_WATCH", watch, 1);
		if (written)
			setenv("MEMORY_PRESSURE_WRITE", written, 1);
		dup2(ready[1], STDOUT_FILENO);
		execl("/proc/self/exe", "pressure", "wait", (char *)NULL);
		_exit(127);
	}
	close(ready[1]);
	CHECK(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	return pid;
}

static void make_path(void)
{
	snprintf(path, sizeof path, "/tmp/oomreclaim.pressure.%d", getpid());
	unlink(path);
}

static void finish(pid_t pid)
{
	CHECK_EQ(check_child(pid), 0);
	unlink(path);
}

static void write_to_fifo(pid_t pid)
{
	int fd = open(path, O_WRONLY);

	CHECK(fd >= 0 && write(fd, "x", 1) == 1);
	finish(pid);
	close(fd);
}

static void fifo(void)
{
	char setting[128];

	make_path();
	CHECK(mkfifo(path, 0600) == 0);
	snprintf(setting, sizeof setting, "pressure:%s", path);
	write_to_fifo(start(setting, NULL, NULL));
}

/* systemd's variables. */
static void variable(void)
{
	make_path();
	CHECK(mkfifo(path, 0600) == 0);
	write_to_fifo(start("pressure:auto", path, NULL));
}

/* What is to be written is written: "hello", in base64. */
static void unix_socket(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;
	char text[16] = "";
	pid_t pid;

	make_path();
	strcpy(address.sun_path, path);
	CHECK(bind(listening, (struct sockaddr *)&address, sizeof address) == 0);
	CHECK(listen(listening, 1) == 0);
	pid = start("pressure:auto", path, "aGVsbG8=");
	peer = accept(listening, NULL, NULL);
	CHECK(peer >= 0 && read(peer, text, sizeof text - 1) == 5 && !strcmp(text, "hello"));
	CHECK(write(peer, "x", 1) == 1);
	finish(pid);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"wait", wait_for_event},
		{"fifo", fifo},
		{"variable", variable},
		{"socket", unix_socket},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
