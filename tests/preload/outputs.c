/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every text that the library writes, against everything that may stand in its way: a reader that
 * does not read, a limit, a descriptor that is not there, a thread whose cancellation is pending.
 * What the program asked for comes back, or ends as its policy says.
 *
 * A case is an output. This program starts itself again for each obstacle, with the obstacle in the
 * place of stderr from the start.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "check.h"
#include "je.h"
#include "oomreclaim.h"

enum { SECONDS_MAX = 20 /* what waits for ever ends by SIGALRM */ };

static char directory[] = "/tmp/oomreclaim-outputs-XXXXXX";
static char path[128];

static const char *in_directory(const char *name)
{
	snprintf(path, sizeof path, "%s/%s", directory, name);
	return path;
}

/* ---- Outputs ---- */

static void fail(void)
{
	while (malloc(MIB))
		;
}

static void fail_by_hand(void)
{
	oomreclaim_kill(NULL);
}

static void injected(void)
{
	for (int i = 0; i < 1000; i++) {
		void *volatile block = malloc(64 * KIB);

		(void)block;
	}
}

static void info(void)
{
	char text[1024];
	FILE *stream = fmemopen(text, sizeof text, "w");

	CHECK(malloc_info(0, stream) == 0);
}

static void stats_print(void)
{
	malloc_stats_print(NULL, NULL, "J");
}

static atomic_bool is_slow, is_done;

static size_t slow(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	is_slow = true;
	while (!is_done)
		usleep(1000);
	return 0;
}

static void *fail_first(void *arg)
{
	(void)arg;
	fail();
	return NULL;
}

static void timeout(void)
{
	pthread_t first;

	CHECK(oomreclaim_register("slow", 0, 0, slow, NULL, NULL) == 0);
	CHECK(pthread_create(&first, NULL, fail_first, NULL) == 0);
	while (!is_slow)
		;
	fail();
	is_done = true;
}

/* A report of more than a page. */
static void fail_at_length(void)
{
	for (int i = 0; i < 40; i++)
		CHECK(oomreclaim_register("a cache with a long name", 0, 0, check_give_nothing,
		                          NULL, NULL) == 0);
	fail();
}

static void put_nowhere(void *arg, const char *text)
{
	(void)arg, (void)text;
}

/* What says nothing unless something is wrong. None of it is a cancellation point either. */
static void entries(void)
{
	struct oomreclaim_stats stats;
	oomreclaim_handle handle;
	size_t length = sizeof length, value;
	uint64_t epoch = 1;
	void *block;

	CHECK(oomreclaim_register("nothing", 0, 0, check_give_nothing, NULL, &handle) == 0);
	free(realloc(calloc(10, 10), 100 * KIB));
	CHECK(posix_memalign(&block, 64, 100) == 0);
	free(block);
	fail();
	oomreclaim_reclaim(MIB);
	CHECK(oomreclaim_stats_get(&stats, sizeof stats) == 0);
	oomreclaim_set_limit(96 * MIB);
	fail();
	CHECK(oomreclaim_kill_disable(10));
	CHECK(oomreclaim_kill_enable() == 0);
	malloc_trim(0);
	(void)mallinfo2();
	CHECK(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
	CHECK(mallctl("stats.allocated", &value, &length, NULL, 0) == 0);
	mallctl("prof.dump", NULL, NULL, NULL, 0);
	malloc_stats_print(put_nowhere, NULL, NULL);
	CHECK(oomreclaim_set_policy_callback(NULL, NULL) == 0);
	CHECK(oomreclaim_unregister(handle) == 0);
}

static const struct output {
	const char *name, *conf;
	void (*make)(void);
	int signal; /* that the policy ends it with */
} outputs[] = {
	{"report", "limit:48M,report:always", fail_at_length, 0},
	{"report-abort", "limit:48M,policy:abort,costly:off", fail_at_length, SIGABRT},
	{"report-kill", "limit:48M,policy:kill,costly:off", fail_at_length, SIGKILL},
	{"report-by-hand", "kill_signal:TERM", fail_by_hand, SIGTERM},
	{"line", "limit:48M,verbose:true", fail, 0},
	{"timeout", "limit:48M,wait_ms:50", timeout, 0},
	{"injected", "fail_page:50/1/-1,verbose:true", injected, 0},
	{"dump", "limit:48M,policy:abort,costly:off,report:never", fail, SIGABRT},
	{"stats", "", malloc_stats, 0},
	{"stats-print", "", stats_print, 0},
	{"info", "", info, 0},
	{"entries", "limit:48M,high:32M,stats:true,verbose:true", entries, 0},
};

/* ---- Obstacles ---- */

static void put_stderr(int fd)
{
	CHECK(dup2(fd, STDERR_FILENO) == STDERR_FILENO);
}

static void fill_pipe(int slots)
{
	char block[4096] = {0};
	int ends[2];

	CHECK(pipe(ends) == 0);
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	for (size_t bytes = sizeof block; bytes > 0; bytes /= 2)
		while (write(ends[1], block, bytes) > 0)
			;
	fcntl(ends[1], F_SETFL, 0);
	while (slots-- > 0)
		CHECK(read(ends[0], block, sizeof block) == sizeof block);
	put_stderr(ends[1]);
}

static void full_pipe(void)
{
	fill_pipe(0);
}

static void one_slot(void)
{
	fill_pipe(1);
}

static void broken_pipe(void)
{
	int ends[2];

	CHECK(pipe(ends) == 0);
	put_stderr(ends[1]);
	close(ends[0]);
	close(ends[1]);
}

static void full_socket(void)
{
	static const char block[4096];
	int ends[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	while (send(ends[1], block, sizeof block, MSG_DONTWAIT) > 0)
		;
	put_stderr(ends[1]);
}

static void stopped_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), terminal;

	CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
	CHECK(terminal >= 0 && tcflow(terminal, TCOOFF) == 0);
	put_stderr(terminal);
}

static void closed(void)
{
	close(STDERR_FILENO);
}

static void no_file_size(void)
{
	const struct rlimit none = {0, 0};

	put_stderr(open(in_directory("stderr"), O_WRONLY | O_CREAT | O_TRUNC, 0600));
	CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0);
}

static void full_disk(void)
{
	put_stderr(open("/dev/full", O_WRONLY));
}

/* The log's; stderr goes nowhere. */
static void log_only(void)
{
	put_stderr(open("/dev/null", O_WRONLY));
}

static void log_fifo(void)
{
	log_only();
	CHECK(mkfifo(in_directory("log"), 0600) == 0);
}

static void log_limit(void)
{
	const struct rlimit none = {0, 0};

	log_only();
	CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0);
}

static const struct obstacle {
	const char *name;
	void (*put)(void);
	bool is_of_log;
} obstacles[] = {
	{"none", log_only, false},
	{"a full pipe", full_pipe, false},
	{"a pipe with one slot", one_slot, false},
	{"a broken pipe", broken_pipe, false},
	{"a full socket", full_socket, false},
	{"a stopped terminal", stopped_terminal, false},
	{"stderr closed", closed, false},
	{"RLIMIT_FSIZE", no_file_size, false},
	{"a full disk", full_disk, false},
	{"a FIFO as the log", log_fifo, true},
	{"RLIMIT_FSIZE for the log", log_limit, true},
};

/* ---- The one with the other ---- */

static const struct output *chosen;
static bool is_cancelled, has_returned;

static void *make(void *arg)
{
	(void)arg;
	if (is_cancelled)
		pthread_cancel(pthread_self());
	chosen->make();
	has_returned = true;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return NULL;
}

/* In a process of its own, from its start on. */
static void make_output(const char *cancelled)
{
	pthread_t thread;

	is_cancelled = !strcmp(cancelled, "cancelled");
	CHECK(pthread_create(&thread, NULL, make, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	_exit(has_returned ? 0 : 3);
}

static void start(const struct obstacle *obstacle, const char *cancelled)
{
	char conf[512];

	snprintf(conf, sizeof conf, "%s,%s:%s", chosen->conf,
	         obstacle->is_of_log ? "log" : "oom_dump", in_directory(""));
	if (obstacle->is_of_log)
		strcat(conf, "log");
	setenv("OOMRECLAIM_CONF", conf + (conf[0] == ','), 1);
	setenv("MALLOC_CONF", "prof:true", 1);
	/* Profiles have no directory of their own. */
	CHECK(chdir(directory) == 0);
	obstacle->put();
	alarm(SECONDS_MAX);
	execl("/proc/self/exe", "outputs", chosen->name, cancelled, (char *)NULL);
	_exit(127);
}

static void clean_directory(void)
{
	char command[256];

	snprintf(command, sizeof command, "rm -rf %s/*", directory);
	CHECK(system(command) == 0);
}

static bool ends_well(const struct obstacle *obstacle, const char *cancelled)
{
	int status;
	pid_t pid = fork();
	bool is_well;

	if (!pid)
		start(obstacle, cancelled);
	CHECK(waitpid(pid, &status, 0) == pid);
	is_well = chosen->signal ? WIFSIGNALED(status) && WTERMSIG(status) == chosen->signal
	                         : WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (!is_well)
		dprintf(STDERR_FILENO, "%s, %s: %s: %s %d\n", chosen->name, cancelled,
		        obstacle->name, WIFSIGNALED(status) ? "signal" : "status",
		        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	clean_directory();
	return is_well;
}

static int try_all(void)
{
	bool is_well = true;

	CHECK(mkdtemp(directory));
	for (size_t i = 0; i < COUNT(obstacles); i++) {
		is_well &= ends_well(&obstacles[i], "plain");
		is_well &= ends_well(&obstacles[i], "cancelled");
	}
	rmdir(directory);
	return is_well ? 0 : 1;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc >= 2 && i < COUNT(outputs); i++)
		if (!strcmp(argv[1], outputs[i].name))
			chosen = &outputs[i];
	CHECK(chosen);
	if (argc > 2)
		make_output(argv[2]);
	return try_all();
}
