/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reports of memory pressure. Each case starts this program again with a source that it has made,
 * and writes to that; the case `wait` is what is started.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim.h"

static atomic_int calls;
static char path[64];

static uint64_t first_ns, second_ns;

static size_t count(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	CHECK_EQ(control->reason, OOMRECLAIM_REASON_PRESSURE);
	CHECK(!control->is_direct && control->bytes_wanted >= MIB);
	if (calls == 0)
		first_ns = check_now_ns();
	else
		second_ns = check_now_ns();
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

/* However much is reported, once a second is what is done about it. */
static void wait_for_two(void)
{
	CHECK_EQ(oomreclaim_register("count", 0, 0, count, NULL, NULL), 0);
	CHECK(write(STDOUT_FILENO, "r", 1) == 1);
	while (calls < 2)
		usleep(1000);
	CHECK(second_ns - first_ns >= 1000000000);
}

static unsigned descriptors(void)
{
	unsigned found = 0;

	for (int fd = 0; fd < 1000; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			found++;
	return found;
}

/* True if there is a thread of that name. */
static bool has_thread(const char *wanted)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	bool is_there = false;

	while ((task = readdir(tasks))) {
		char comm[300], name[32] = "";
		int fd;

		snprintf(comm, sizeof comm, "/proc/self/task/%s/comm", task->d_name);
		fd = open(comm, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, name, sizeof name - 1) > 0)
			is_there |= !strcmp(name, wanted);
		close(fd);
	}
	closedir(tasks);
	return is_there;
}

/* The source goes: the thread that waited for it too, with all its descriptors, and the program
   goes on. */
static void wait_for_close(void)
{
	unsigned before = descriptors();

	CHECK_EQ(oomreclaim_register("count", 0, 0, count, NULL, NULL), 0);
	while (!has_thread("oomreclaim-poll\n"))
		usleep(1000);
	CHECK(write(STDOUT_FILENO, "r", 1) == 1);
	while (has_thread("oomreclaim-poll\n"))
		usleep(1000);
	CHECK(has_thread("oomreclaimd\n"));
	CHECK_EQ(descriptors(), before);
	/* The line may be on its way. */
	usleep(500000);
}

/* As PSI counts it for the machine, in microseconds. */
static uint64_t stall_us(void)
{
	char text[512] = "";
	int fd = open("/proc/pressure/memory", O_RDONLY | O_CLOEXEC);
	const char *total;

	CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
	close(fd);
	total = strstr(text, "total=");
	CHECK(total);
	return strtoull(total + strlen("total="), NULL, 10);
}

/* That of the machine, before this program was started. */
#define STALL_BEFORE "PRESSURE_STALL_BEFORE"

/* No event is believed before the stall is what was asked for, also where the kernel sends one. */
static void wait_for_stall(void)
{
	uint64_t before_us = strtoull(getenv(STALL_BEFORE), NULL, 10);

	wait_for_event();
	CHECK(stall_us() - before_us >= 200000);
}

static void stall(void)
{
	char text[32];

	snprintf(text, sizeof text, "%llu", (unsigned long long)stall_us());
	setenv(STALL_BEFORE, text, 1);
	setenv("OOMRECLAIM_CONF", "pressure:/proc/pressure/memory", 1);
	execl("/proc/self/exe", "pressure", "wait-for-stall", (char *)NULL);
	CHECK(!"executed");
}

/* Starts the case with the setting, and waits until it is ready. */
static pid_t start_case(const char *name, const char *setting, const char *watch,
                        const char *written)
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
		execl("/proc/self/exe", "pressure", name, (char *)NULL);
		_exit(127);
	}
	close(ready[1]);
	CHECK(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	return pid;
}

static pid_t start(const char *setting, const char *watch, const char *written)
{
	return start_case("wait", setting, watch, written);
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

/* A program with `path` as its source, and the socket's other end. */
static pid_t connect_to(int *peer, const char *name, const char *written)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	make_path();
	strcpy(address.sun_path, path);
	CHECK(bind(listening, (struct sockaddr *)&address, sizeof address) == 0);
	CHECK(listen(listening, 1) == 0);
	pid = start_case(name, "pressure:auto", path, written);
	*peer = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	CHECK(*peer >= 0);
	close(listening);
	return pid;
}

/* What is to be written is written: "hello", in base64. */
static void unix_socket(void)
{
	char text[16] = "";
	int peer;
	pid_t pid = connect_to(&peer, "wait", "aGVsbG8=");

	CHECK(read(peer, text, sizeof text - 1) == 5 && !strcmp(text, "hello"));
	CHECK(write(peer, "x", 1) == 1);
	finish(pid);
}

static void closed(void)
{
	int peer;
	pid_t pid = connect_to(&peer, "wait-for-close", NULL);

	close(peer);
	finish(pid);
}

static void flood(void)
{
	static const char much[4096];
	char setting[128];
	int fd, status;
	pid_t pid;

	make_path();
	CHECK(mkfifo(path, 0600) == 0);
	snprintf(setting, sizeof setting, "pressure:%s", path);
	pid = start_case("wait-for-two", setting, NULL, NULL);
	fd = open(path, O_RDWR | O_NONBLOCK);
	CHECK(fd >= 0);
	while (waitpid(pid, &status, WNOHANG) == 0)
		if (write(fd, much, sizeof much) < 0)
			CHECK(errno == EAGAIN);
	close(fd);
	unlink(path);
	CHECK_EQ(status, 0);
}

/* No thread any more for this process, nor for what it executes. */
static void refuse_threads(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {COUNT(filter), filter};

	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

static struct pool pool;

static size_t evict(const struct oomreclaim_control *control, void *arg)
{
	(void)arg;
	CHECK(control->is_direct);
	calls++;
	return pool_evict(&pool, control->bytes_wanted);
}

/* Whoever fails reclaims, and whatever was opened for oomreclaimd is closed each time. */
static void without_thread(void)
{
	/* The source, which is open since the start, is in it: without a thread it is closed. */
	unsigned before = descriptors() - 1;

	CHECK_EQ(oomreclaim_register("pool", 0, 0, evict, NULL, NULL), 0);
	CHECK_EQ(descriptors(), before);
	for (int i = 0; i < 1000; i++)
		CHECK(pool_add(&pool, 256 * KIB));
	CHECK(calls > 0);
	CHECK_EQ(descriptors(), before);
}

static void refused(void)
{
	char setting[128];
	pid_t pid;

	make_path();
	CHECK(mkfifo(path, 0600) == 0);
	snprintf(setting, sizeof setting, "limit:64M,high:16M,pressure:%s", path);
	pid = fork();
	if (!pid) {
		setenv("OOMRECLAIM_CONF", setting, 1);
		refuse_threads();
		execl("/proc/self/exe", "pressure", "without-thread", (char *)NULL);
		_exit(127);
	}
	finish(pid);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"wait", wait_for_event},
		{"wait-for-two", wait_for_two},
		{"wait-for-close", wait_for_close},
		{"wait-for-stall", wait_for_stall},
		{"stall", stall},
		{"fifo", fifo},
		{"variable", variable},
		{"socket", unix_socket},
		{"closed", closed},
		{"flood", flood},
		{"without-thread", without_thread},
		{"refused", refused},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
